/**
 * Writes an ONNX graph node by node. Small constants stay in the graph; weights go to a second
 * file as ONNX "external data", so that the graph stays small, a model may pass protobuf's 2 GB,
 * and a conversion holds one tensor at a time.
 *
 * @module
 */
import { create, toBinary } from "@bufbuild/protobuf";
import {
  type AttributeProto,
  AttributeProtoSchema,
  type GraphProto,
  GraphProtoSchema,
  ModelProtoSchema,
  type NodeProto,
  NodeProtoSchema,
  type TensorProto,
  TensorProtoSchema,
  type ValueInfoProto,
  ValueInfoProtoSchema,
} from "./onnx_pb.ts";

/** ONNX element types, by their numbers in `TensorProto.DataType`. */
export const ELEMENT_TYPES = {
  float32: 1,
  uint8: 2,
  int8: 3,
  int16: 5,
  int32: 6,
  int64: 7,
  float16: 10,
} as const;

/** An element type that our graphs use. */
export type ElementType = keyof typeof ELEMENT_TYPES;

/** An element type that a graph computes in. */
export type FloatType = "float32" | "float16";

/** A dimension: a size, or the name of one that a run decides. */
export type Dimension = number | string;

/** A node's attribute; integers are written as INT, other numbers need {@linkcode float}. */
export type Attribute =
  | number
  | string
  | readonly number[]
  | { float: number }
  | { graph: GraphProto };

/** Marks a number to be written as a FLOAT attribute. */
export function float(value: number): { float: number } {
  return { float: value };
}

/** Where a graph's weights go: bytes in, their offset in the file out. */
export interface WeightWriter {
  /** Name of the file beside the graph. */
  readonly location: string;
  /** Appends bytes; resolves to the offset of the first. */
  append(bytes: Uint8Array): Promise<number>;
}

/** Operator domain of ONNX Runtime's own operators. */
export const MICROSOFT = "com.microsoft";

const IR_VERSION = 10n;
const ONNX_OPSET = 21n;

/** Builds one graph; names of values are chosen by the caller and must be unique. */
export class GraphBuilder {
  /** The type of all floats: those given in f32 are rounded to it. */
  readonly floats: FloatType;
  readonly #name: string;
  readonly #weights: WeightWriter;
  /** Nodes of the graph, or of the branch that is being built. */
  #nodes: NodeProto[] = [];
  readonly #initializers = new Map<string, TensorProto>();
  readonly #inputs: ValueInfoProto[] = [];
  readonly #outputs: ValueInfoProto[] = [];
  /** Domains of operators, with their versions. */
  readonly #domains = new Map([["", ONNX_OPSET], [MICROSOFT, 1n]]);

  constructor(
    name: string,
    weights: WeightWriter,
    floats: FloatType = "float32",
  ) {
    this.floats = floats;
    this.#name = name;
    this.#weights = weights;
  }

  /** Declares a graph input and gives back its name. */
  input(name: string, type: ElementType, shape: readonly Dimension[]): string {
    this.#inputs.push(valueInfo(name, type, shape));
    return name;
  }

  /** Declares a value as graph output. */
  output(name: string, type: ElementType, shape: readonly Dimension[]): void {
    this.#outputs.push(valueInfo(name, type, shape));
  }

  /** A small constant, kept in the graph; one of the same name is written once. */
  constant(
    name: string,
    data: Float32Array | BigInt64Array | Uint8Array,
    shape = [data.length],
  ): string {
    if (!this.#initializers.has(name)) {
      const float = data instanceof Float32Array;
      const type = float
        ? this.floats
        : data instanceof Uint8Array
        ? "uint8"
        : "int64";
      const rawData = bytesOf(float ? this.#rounded(data) : data).slice();
      this.#initializers.set(name, tensor(name, type, shape, { rawData }));
    }
    return name;
  }

  /** An int64 vector constant. */
  int64(name: string, values: readonly number[]): string {
    return this.constant(name, BigInt64Array.from(values, BigInt));
  }

  /** A weight, written to the external file. */
  async weight(
    name: string,
    data: Float32Array | Uint8Array | Int8Array,
    shape: readonly number[],
  ): Promise<string> {
    const float = data instanceof Float32Array;
    const integers = data instanceof Int8Array ? "int8" : "uint8";
    const type = float ? this.floats : integers;
    const bytes = bytesOf(float ? this.#rounded(data) : data);
    const offset = await this.#weights.append(bytes);
    this.#initializers.set(
      name,
      tensor(name, type, shape, {
        dataLocation: 1,
        externalData: [
          { key: "location", value: this.#weights.location },
          { key: "offset", value: String(offset) },
          { key: "length", value: String(bytes.byteLength) },
        ],
      }),
    );
    return name;
  }

  /** Adds a node with one output, called `name`; gives back that name. */
  node(
    operator: string,
    name: string,
    inputs: readonly string[],
    options: { attributes?: Record<string, Attribute>; domain?: string } = {},
  ): string {
    this.nodes(operator, [name], inputs, options);
    return name;
  }

  /** Adds a node with several outputs; an empty name leaves an optional one out. */
  nodes(
    operator: string,
    outputs: readonly string[],
    inputs: readonly string[],
    options: { attributes?: Record<string, Attribute>; domain?: string } = {},
  ): void {
    const { domain = "" } = options;
    if (!this.#domains.has(domain)) this.#domains.set(domain, 1n);
    this.#nodes.push(create(NodeProtoSchema, {
      name: outputs.find((name) => name !== "")!,
      opType: operator,
      input: [...inputs],
      output: [...outputs],
      domain,
      attribute: Object.entries(options.attributes ?? {}).map(([name, value]) =>
        attribute(name, value)
      ),
    }));
  }

  /**
   * Adds a node that computes its outputs in one of two ways, of which a run takes one.
   *
   * @param condition name of a bool with one element
   * @param ways each adds its nodes, which may read what stands before, and gives as many of their floats
   */
  either(
    outputs: readonly string[],
    condition: string,
    ways: { then: () => readonly string[]; otherwise: () => readonly string[] },
  ): void {
    const name = outputs[0]!;
    this.nodes("If", outputs, [condition], {
      attributes: {
        then_branch: { graph: this.#branch(`${name}.then`, ways.then) },
        else_branch: { graph: this.#branch(`${name}.else`, ways.otherwise) },
      },
    });
  }

  #branch(name: string, add: () => readonly string[]): GraphProto {
    const before = this.#nodes;
    this.#nodes = [];
    try {
      const output = add().map((value) => valueInfo(value, this.floats, null));
      return create(GraphProtoSchema, { name, node: this.#nodes, output });
    } finally {
      this.#nodes = before;
    }
  }

  /** Adds a conversion to another element type; gives back the value's name. */
  cast(name: string, x: string, to: ElementType): string {
    return this.node("Cast", name, [x], {
      attributes: { to: ELEMENT_TYPES[to] },
    });
  }

  /** Nodes so far; of branches none. */
  get nodeCount(): number {
    return this.#nodes.length;
  }

  #rounded(data: Float32Array): Float32Array | Float16Array {
    return this.floats === "float16" ? new Float16Array(data) : data;
  }

  /** The finished graph, serialised. */
  finish(): Uint8Array<ArrayBuffer> {
    const graph = create(GraphProtoSchema, {
      name: this.#name,
      node: this.#nodes,
      initializer: [...this.#initializers.values()],
      input: this.#inputs,
      output: this.#outputs,
    });
    return toBinary(
      ModelProtoSchema,
      create(ModelProtoSchema, {
        irVersion: IR_VERSION,
        producerName: "everstream",
        graph,
        opsetImport: [...this.#domains].map(([domain, version]) => ({
          domain,
          version,
        })),
      }),
    );
  }
}

function bytesOf(
  { buffer, byteOffset, byteLength }: ArrayBufferView,
): Uint8Array<ArrayBuffer> {
  return new Uint8Array(buffer as ArrayBuffer, byteOffset, byteLength);
}

/** @param shape `null` where the engine is to infer it */
function valueInfo(
  name: string,
  type: ElementType,
  shape: readonly Dimension[] | null,
): ValueInfoProto {
  const dim = shape?.map((size) =>
    typeof size === "number" ? { dimValue: BigInt(size) } : { dimParam: size }
  );
  const elemType = ELEMENT_TYPES[type];
  return create(ValueInfoProtoSchema, {
    name,
    type: { tensorType: dim ? { elemType, shape: { dim } } : { elemType } },
  });
}

function tensor(
  name: string,
  type: ElementType,
  shape: readonly number[],
  data: Partial<Pick<TensorProto, "rawData" | "dataLocation">> & {
    externalData?: { key: string; value: string }[];
  },
): TensorProto {
  return create(TensorProtoSchema, {
    name,
    dims: shape.map(BigInt),
    dataType: ELEMENT_TYPES[type],
    ...data,
  });
}

function attribute(name: string, value: Attribute): AttributeProto {
  if (typeof value === "string") {
    return create(AttributeProtoSchema, {
      name,
      type: 3,
      s: new TextEncoder().encode(value),
    });
  }
  if (typeof value === "number") {
    return create(AttributeProtoSchema, { name, type: 2, i: BigInt(value) });
  }
  if ("float" in value) {
    return create(AttributeProtoSchema, { name, type: 1, f: value.float });
  }
  if ("graph" in value) {
    return create(AttributeProtoSchema, { name, type: 5, g: value.graph });
  }
  return create(AttributeProtoSchema, {
    name,
    type: 7,
    ints: value.map(BigInt),
  });
}
