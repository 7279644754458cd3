/** Loses devices at all the moments at which it could go wrong. @module */
import type { GpuFixture } from "./gpu_fixture.ts";

/** When a device is lost. */
export const LOSS_MOMENTS = [
  "before a run",
  "in a run",
  "after a run",
  "summary",
  "copy",
  "save",
  "saved",
  "restore",
] as const;

/** One of them: `summary` is while a summary of logits is read, `copy` while a conversation is copied in passing. */
export type LossMoment = typeof LOSS_MOMENTS[number];

/** Destroys the device of a fixture at each moment in turn. */
export class Losses implements Disposable {
  readonly #fixture: GpuFixture;
  readonly #left: LossMoment[];
  readonly #apart: number;
  readonly #undo: () => void;
  /** Moments since the last loss. */
  #since = 0;

  /**
   * @param of.times how often at each moment
   * @param of.apart moments between two losses, at least
   */
  constructor(fixture: GpuFixture, of: { times: number; apart: number }) {
    this.#fixture = fixture;
    this.#apart = of.apart;
    this.#left = Array(of.times).fill(LOSS_MOMENTS).flat();
    const { hooks } = fixture;
    const { run } = hooks;
    hooks.run = async ({ go }) => {
      this.happen("before a run");
      const running = go();
      this.happen("in a run");
      await running;
      this.happen("after a run");
    };
    const map = GPUBuffer.prototype.mapAsync;
    const happen = this.happen;
    GPUBuffer.prototype.mapAsync = function (...of): Promise<undefined> {
      const mapped = map.apply(this, of) as Promise<undefined>;
      if (this.label === "sample") happen("summary");
      if (this.label === "landing_copies") happen("copy");
      return mapped;
    };
    this.#undo = () => {
      GPUBuffer.prototype.mapAsync = map;
      hooks.run = run;
    };
  }

  /** Losses still to come. */
  get left(): readonly LossMoment[] {
    return this.#left;
  }

  /** Says what happens now: the device is lost if it is this moment's turn. */
  readonly happen = (moment: LossMoment): void => {
    if (this.#since++ < this.#apart || moment !== this.#left[0]) return;
    this.#left.shift();
    this.#since = 0;
    this.#fixture.gpu.device.destroy();
  };

  [Symbol.dispose](): void {
    this.#undo();
  }
}
