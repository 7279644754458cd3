/** Tables with their titles, and what their cells say. @module */
import { section, type Table } from "../../lib/program/table.ts";

/** A table and what it says. */
export interface TitledTable {
  readonly title: string;
  readonly note: string;
  readonly table: Table;
}

/** Tables as plain text. */
export function renderTables(tables: readonly TitledTable[]): string {
  return tables.map(({ title, note, table }) =>
    `${section(title, table)}\n${note}`
  ).join("\n\n");
}

/** A number with so many digits; what was not measured is a dash. */
export function fixed(
  value: number | null | undefined,
  digits: number,
): string {
  return value === null || value === undefined || Number.isNaN(value)
    ? "-"
    : value.toFixed(digits);
}

/** A share of a whole. */
export function percent(share: number | null | undefined): string {
  return share === null || share === undefined
    ? "-"
    : `${(share * 100).toFixed(1)} %`;
}

/** Bytes as MiB. */
export function mebibytes(bytes: number): string {
  return (bytes / 2 ** 20).toFixed(1);
}
