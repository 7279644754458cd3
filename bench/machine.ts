/** What the figures were measured on. @module */
import { cpus } from "node:os";
import { env } from "onnxruntime-common";
import type { BenchModel } from "./bench_model.ts";

/** A machine, its software and the model; without it a figure means nothing. */
export interface Machine {
  /** ISO 8601. */
  readonly date: string;
  readonly cpu: string;
  readonly cores: number;
  readonly platform: string;
  readonly deno: string;
  readonly onnxRuntime: string;
  readonly model: string;
  readonly sha256: string;
  readonly engine: string;
  /** Why this engine. */
  readonly reason: string;
  readonly threads: number;
}

/** Describes where a model runs. */
export function describeMachine(model: BenchModel): Machine {
  return {
    date: new Date().toISOString(),
    cpu: cpus()[0]?.model.trim() ?? "unknown",
    cores: navigator.hardwareConcurrency,
    platform: `${Deno.build.os} ${Deno.build.arch}`,
    deno: Deno.version.deno,
    onnxRuntime: env.versions.common,
    model: model.id,
    sha256: model.sha256,
    engine: model.engine,
    reason: model.reason,
    threads: model.threads,
  };
}
