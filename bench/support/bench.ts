import { parseArgs } from 'node:util';

export interface BenchOptions {
  /** Only the JSON line on stdout; progress goes to stderr. */
  json: boolean;
  /** A short run that shows that it works; its figures are rougher. */
  quick: boolean;
}

export interface Bench extends BenchOptions {
  /** Says one line of progress. */
  say(line: string): void;
  /** Runs at the end, last one first, whatever happened. */
  defer(what: string, undo: () => Promise<void> | void): void;
  /** Aborts on Ctrl-C and SIGTERM. */
  signal: AbortSignal;
}

/** One figure for people: what it is, what was measured, what it is measured against. */
export interface Row {
  what: string;
  value: number | string;
  floor?: number | string;
  budget?: string;
}

/**
 * Runs one benchmark: options, progress, clean-up in every case, and the result as one JSON object on the last line.
 * Exit code 1 when it could not be measured; a missed budget is a result and no failure.
 */
export async function runBench(
  measure: (bench: Bench) => Promise<{ result: Record<string, unknown>; rows: Row[] }>,
): Promise<void> {
  const { values } = parseArgs({
    options: { json: { type: 'boolean', default: false }, quick: { type: 'boolean', default: false } },
  });
  const stopping = new AbortController();
  const undo: { what: string; run: () => Promise<void> | void }[] = [];
  const say = (line: string): void => {
    process.stderr.write(`${line}\n`);
  };
  for (const name of ['SIGINT', 'SIGTERM'] as const)
    process.on(name, () => stopping.abort(new Error(`stopped by ${name}`)));
  try {
    const { result, rows } = await measure({
      ...values,
      say,
      defer: (what, run) => undo.push({ what, run }),
      signal: stopping.signal,
    });
    stopping.signal.throwIfAborted();
    await cleanUp();
    if (!values.json) printTable(rows);
    process.stdout.write(`${JSON.stringify(result)}\n`);
  } catch (thrown) {
    say(thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown));
    process.exitCode = 1;
  } finally {
    await cleanUp();
  }

  async function cleanUp(): Promise<void> {
    for (let next = undo.pop(); next !== undefined; next = undo.pop()) {
      try {
        await next.run();
      } catch (thrown) {
        say(`clean-up, ${next.what}: ${thrown instanceof Error ? thrown.message : String(thrown)}`);
      }
    }
  }
}

function printTable(rows: readonly Row[]): void {
  const cells = [
    ['', 'measured', 'floor', 'budget'],
    ...rows.map((row) => [row.what, String(row.value), String(row.floor ?? ''), row.budget ?? '']),
  ];
  const widths = [0, 1, 2, 3].map((column) => Math.max(...cells.map((line) => line[column]?.length ?? 0)));
  for (const line of cells)
    process.stdout.write(
      `${line
        .map((text, column) =>
          column === 0 ? text.padEnd(widths[0] ?? 0) : text.padStart(widths[column] ?? 0),
        )
        .join('  ')
        .trimEnd()}\n`,
    );
}

export function median(numbers: readonly number[]): number {
  const sorted = [...numbers].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] ?? 0;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? 0) + upper) / 2;
}

export function rounded(value: number, digits = 2): number {
  return Math.round(value * 10 ** digits) / 10 ** digits;
}

/** Milliseconds on a clock that all processes of this machine share. */
export function now(): number {
  return performance.timeOrigin + performance.now();
}
