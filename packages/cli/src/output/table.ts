import type { Style } from './style.ts';
import { cutStyled, widthOf } from './style.ts';

const GAP = 2;
/** A column is not made narrower than this, nor than its heading: less says nothing. */
const LEAST = 10;

/**
 * Columns side by side, two spaces apart, no trailing blanks. Cells may carry colours. Where the style has only so much
 * room, the longest texts are cut with an ellipsis; what still does not fit is left to the terminal.
 */
export function table(head: readonly string[], rows: readonly (readonly string[])[], style: Style): string {
  const columns = head.map((name, index): Column => {
    const cells = rows.map((row) => row[index] ?? '');
    return {
      width: Math.max(widthOf(name), ...cells.map(widthOf)),
      least: Math.max(widthOf(name), LEAST),
      holds: cells.some((cell) => /[a-z]{2}/i.test(cell)) ? 'text' : 'figures',
    };
  });
  fit(columns, style.room());
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, index) => {
        const width = columns[index]?.width ?? 0;
        const shown = cutStyled(cell, width);
        return shown + ' '.repeat(Math.max(0, width - widthOf(shown)));
      })
      .join(' '.repeat(GAP))
      .trimEnd();
  return [style.dim(line(head)), ...rows.map(line)].join('\n');
}

interface Column {
  width: number;
  least: number;
  /** Numbers and times say something wrong when they are cut. */
  holds: 'text' | 'figures';
}

/** Takes from the widest text, column by column; from the first column, which names the row, only when nothing else is left. */
function fit(columns: Column[], room: number): void {
  const first = columns[0];
  const others = columns.slice(1);
  let over = columns.reduce((sum, { width }) => sum + width, GAP * (columns.length - 1)) - room;
  while (over > 0) {
    const widest = widestOf(others) ?? (first === undefined ? undefined : widestOf([first]));
    if (widest === undefined) return;
    widest.width -= 1;
    over -= 1;
  }
}

function widestOf(columns: readonly Column[]): Column | undefined {
  const able = columns.filter(({ holds, width, least }) => holds === 'text' && width > least);
  return able.toSorted((a, b) => b.width - a.width)[0];
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
