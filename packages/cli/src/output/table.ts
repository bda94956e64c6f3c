import { foldLine, widestWord } from './fold.ts';
import { widthOf, type Style } from './style.ts';

const GAP = 2;
/** A column of words is not folded to less than this, nor one of sentences to less than that: it would be hard to read. */
const WORDS = 12;
const SENTENCES = 24;
/** What is no wider than this is never folded. */
const SHORT = 20;
/** What is wider than this is a sentence, or several. */
const WIDE = 40;
/** Nor are sentences in the last column: below their row there is more room. */
const LAST = 30;
/** What is shorter than this is no end that a row could have on a line of its own. */
const OWN_LINE = 20;

/**
 * Columns side by side, two spaces apart, no trailing blanks. Cells may carry colours. Nothing is ever cut. Where the
 * columns are too wide, the first of these that fits is taken: without the columns in which nothing is; the widest texts
 * folded at their spaces; the last column on a line of its own below each row; the first one on a line above it; both;
 * each row as a list, `name  value`, with an empty line between two.
 */
export function table(head: readonly string[], rows: readonly (readonly string[])[], style: Style): string {
  const room = style.room();
  const all = columnsOf(head, rows);
  if (widthOfAll(all) <= room) return sideBySide({ beside: all }, rows, style);
  const columns = all.filter(({ index, holds }) => index === 0 || holds !== 'nothing');
  const layout = layoutOf(columns, room);
  return layout === null ? lists(columns, rows, style) : sideBySide(layout, rows, style);
}

/** Where the columns of a row stand. */
interface Layout {
  readonly above?: Column;
  readonly beside: readonly Column[];
  readonly below?: Column;
}

function layoutOf(columns: readonly Column[], room: number): Layout | null {
  const beside = fit(columns, room);
  if (beside !== null) return { beside };
  const [above] = columns;
  const below = columns.at(-1);
  if (above === undefined || below === undefined || columns.length < 3) return null;
  const long = (column: Column): boolean => column.width >= OWN_LINE;
  const overBelow = long(below) ? fit(columns.slice(0, -1), room) : null;
  if (overBelow !== null) return { beside: overBelow, below };
  const underAbove = fit(columns.slice(1), room - GAP);
  if (underAbove !== null) return { above, beside: underAbove };
  const between = long(above) && long(below) ? fit(columns.slice(1, -1), room - GAP) : null;
  return between === null || between.length === 0 ? null : { above, beside: between, below };
}

/** Whether a table has room for all its columns as they are. */
export function fits(
  head: readonly string[],
  rows: readonly (readonly string[])[],
  style: Pick<Style, 'room'>,
): boolean {
  return widthOfAll(columnsOf(head, rows)) <= style.room();
}

interface Column {
  readonly name: string;
  readonly index: number;
  readonly width: number;
  /** So narrow it may become. */
  readonly least: number;
  readonly holds: 'nothing' | 'something';
}

function columnsOf(head: readonly string[], rows: readonly (readonly string[])[]): Column[] {
  return head.map((name, index) => {
    const cells = rows.map((row) => row[index] ?? '');
    return columnOf(name, index, cells, index === head.length - 1 ? LAST : WORDS);
  });
}

function columnOf(name: string, index: number, cells: readonly string[], narrow: number): Column {
  let width = widthOf(name);
  let least = width;
  for (const cell of cells) {
    const wide = widthOf(cell);
    width = Math.max(width, wide);
    least = Math.max(least, leastOf(cell, wide, narrow));
  }
  return { name, index, width, least, holds: cells.some((cell) => cell !== '') ? 'something' : 'nothing' };
}

/** So narrow a cell may become. */
function leastOf(cell: string, wide: number, narrow: number): number {
  // A few words, numbers and times are read at a glance, or not at all when they are folded.
  if (wide <= SHORT || !/[a-z]{2}/i.test(cell)) return wide;
  return Math.min(wide, Math.max(widestWord(cell), narrow, wide > WIDE ? SENTENCES : 0));
}

const widthOfAll = (columns: readonly Column[]): number =>
  columns.reduce((sum, { width }) => sum + width, GAP * (columns.length - 1));

/** Takes from the widest column that has something to give, until all fit; null when they cannot. */
function fit(columns: readonly Column[], room: number): Column[] | null {
  const widths = columns.map(({ width }) => width);
  for (let over = widthOfAll(columns) - room; over > 0; over -= 1) {
    let widest = -1;
    for (const [at, { least }] of columns.entries()) {
      const width = widths[at] ?? 0;
      if (width > least && width > (widths[widest] ?? 0)) widest = at;
    }
    if (widest < 0) return null;
    widths[widest] = (widths[widest] ?? 0) - 1;
  }
  return columns.map((column, at) => ({ ...column, width: widths[at] ?? column.width }));
}

/** The columns, and above and below each row what stands there. */
function sideBySide(layout: Layout, rows: readonly (readonly string[])[], style: Style): string {
  const { above, beside, below } = layout;
  const indent = ' '.repeat(above === undefined ? 0 : GAP);
  const own = (column: Column | undefined, cells: readonly string[], before: string): string[] => {
    const cell = column === undefined ? '' : (cells[column.index] ?? '');
    return cell === '' ? [] : foldLine(`${before}${cell}`, style.room(), before.length + GAP);
  };
  const line = (cells: readonly string[]): string => {
    const folded = beside.map(({ index, width }) => foldLine(cells[index] ?? '', width));
    const height = Math.max(...folded.map((cell) => cell.length));
    const lines = Array.from({ length: height }, (_, at) =>
      `${indent}${beside
        .map(({ width }, column) => padded(folded[column]?.[at] ?? '', width))
        .join(' '.repeat(GAP))}`.trimEnd(),
    );
    return [...own(above, cells, ''), ...lines, ...own(below, cells, ' '.repeat(GAP))].join('\n');
  };
  return [style.dim(line(namesOf(layout))), ...rows.map(line)].join('\n');
}

/** The names of the columns, where their cells are. */
function namesOf({ above, beside, below }: Layout): string[] {
  const cells: string[] = [];
  for (const column of [above, ...beside, below]) if (column !== undefined) cells[column.index] = column.name;
  return cells;
}

function padded(cell: string, width: number): string {
  return cell + ' '.repeat(Math.max(0, width - widthOf(cell)));
}

/** Each row as a list; what is empty in a row is left out of it. */
function lists(columns: readonly Column[], rows: readonly (readonly string[])[], style: Style): string {
  const width = Math.max(...columns.map(({ name }) => widthOf(name)));
  return rows
    .map((row) => {
      const pairs = columns
        .map(({ name, index }) => [name.toLowerCase().padEnd(width), row[index] ?? ''] as const)
        .filter(([, value], at) => at === 0 || value !== '');
      return fields(pairs, style);
    })
    .join('\n\n');
}

/** `name  value` lines with the values in one column; a value may have several lines, and is folded where it must be. */
export function fields(pairs: readonly (readonly [string, string])[], style: Style): string {
  const width = Math.max(...pairs.map(([name]) => widthOf(name))) + GAP;
  const room = Math.max(WORDS, style.room() - width);
  return pairs
    .map(([name, value]) => {
      const folded = value.split('\n').flatMap((line) => foldLine(line, room));
      return `${style.dim(name)}${' '.repeat(width - widthOf(name))}${folded.join(`\n${' '.repeat(width)}`)}`;
    })
    .join('\n');
}
