import { stripVTControlCharacters } from 'node:util';
import type { Sink } from './output.ts';
import { columnsOf, cut, widthOf } from './style.ts';

/** A block of lines at the end of a terminal that is drawn again and again in its place. */
export interface Screen {
  /** Shows this text instead of the one before; lines wider than the terminal are cut. */
  draw(text: string): void;
  /** Writes a line that stays, above the block. */
  say(line: string): void;
  /** Takes the block away. */
  clear(): void;
}

export function createScreen(stdout: Sink): Screen {
  let shown: string[] = [];
  const erased = (): string => (shown.length === 0 ? '' : `\u001b[${shown.length}A\r\u001b[J`);
  const text = (lines: readonly string[]): string => lines.map((line) => `${line}\n`).join('');
  return {
    draw: (block) => {
      const columns = columnsOf(stdout);
      // What has scrolled away cannot be drawn over, so the block stays within the terminal.
      const rows = stdout.rows === undefined || stdout.rows < 5 ? Infinity : stdout.rows - 1;
      const lines = block
        .split('\n')
        .slice(0, rows)
        .map((line) => fit(line, columns));
      stdout.write(`${erased()}${text(lines)}`);
      shown = lines;
    },
    say: (line) => stdout.write(`${erased()}${line}\n${text(shown)}`),
    clear: () => {
      if (shown.length > 0) stdout.write(erased());
      shown = [];
    },
  };
}

/** A line that is too wide loses its colours, since nobody knows where they end. */
function fit(line: string, columns: number): string {
  return widthOf(line) < columns ? line : cut(stripVTControlCharacters(line), columns - 1);
}
