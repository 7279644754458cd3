/** Tables in plain text. @module */

/** A table: titles of its columns, and rows of as many cells. */
export interface Table {
  readonly columns: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

/**
 * Lines of a table whose columns are aligned: the first to the left, the others to the right.
 *
 * @throws {TypeError} if a row has another number of cells than there are columns.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { formatTable } from "./table.ts";
 * const text = formatTable({ columns: ["held", "tokens/s"], rows: [["512", "99.5"], ["2048", "7"]] });
 * assertEquals(text, "held  tokens/s\n512       99.5\n2048         7");
 * ```
 */
export function formatTable(table: Table): string {
  const { columns } = table;
  for (const row of table.rows) {
    if (row.length !== columns.length) {
      throw new TypeError(
        `Cannot lay out ${row.length} cells in ${columns.length} columns`,
      );
    }
  }
  const lines = [columns, ...table.rows];
  const widths = columns.map((_, i) =>
    Math.max(...lines.map((line) => line[i]!.length))
  );
  return lines.map((line) =>
    line.map((cell, i) =>
      i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!)
    )
      .join("  ").trimEnd()
  ).join("\n");
}

/** A table under its title. */
export function section(title: string, table: Table): string {
  return `${title}\n${formatTable(table)}`;
}
