import type { Style } from './style.ts';
import { widthOf } from './style.ts';

/** Columns side by side, two spaces apart, no trailing blanks. Cells may carry colours. */
export function table(head: readonly string[], rows: readonly (readonly string[])[], style: Style): string {
  const widths = head.map((name, column) =>
    Math.max(widthOf(name), ...rows.map((row) => widthOf(row[column] ?? ''))),
  );
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, column) => cell + ' '.repeat(Math.max(0, (widths[column] ?? 0) - widthOf(cell))))
      .join('  ')
      .trimEnd();
  return [style.dim(line(head)), ...rows.map(line)].join('\n');
}

/** `name  value` lines with the values in one column; a value may have several lines. */
export function fields(pairs: readonly (readonly [string, string])[], style: Style): string {
  const width = Math.max(...pairs.map(([name]) => widthOf(name)));
  return pairs
    .map(([name, value]) => {
      const indent = ' '.repeat(width + 2);
      return `${style.dim(name)}${' '.repeat(width - widthOf(name) + 2)}${value.split('\n').join(`\n${indent}`)}`;
    })
    .join('\n');
}
