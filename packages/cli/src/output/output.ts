import { clean, columnsOf, styleOf, wantsColour, type Style } from './style.ts';
import type { Environment } from '../config.ts';

export type Format = 'human' | 'json';

/** The parts of a stream that output needs, so that tests can hand over their own. */
export interface Sink {
  write(text: string): unknown;
  isTTY?: boolean | undefined;
  columns?: number | undefined;
  rows?: number | undefined;
}

/** Where a command's words go: answers to stdout, progress and problems to stderr. */
export interface Output {
  readonly format: Format;
  /** Of stdout. */
  readonly style: Style;
  readonly errorStyle: Style;
  readonly stdout: Sink;
  readonly stderr: Sink;
  /** For people only: nothing when the format is JSON. */
  print(text: string): void;
  /** The one JSON document of a command, or one line of a stream; nothing when the format is human. */
  json(value: unknown): void;
  jsonLine(value: unknown): void;
  /** A remark beside the answer: stderr, in both formats. */
  note(text: string): void;
}

export function createOutput(options: {
  format: Format;
  stdout: Sink;
  stderr: Sink;
  env: Environment;
}): Output {
  const { format, stdout, stderr, env } = options;
  const colours = (sink: Sink): 'on' | 'off' => (wantsColour(env, sink.isTTY === true) ? 'on' : 'off');
  // One less than the terminal has, since some break the line after its last column.
  const room = (sink: Sink) => (): number => (sink.isTTY === true ? columnsOf(sink) - 1 : Infinity);
  return {
    format,
    stdout,
    stderr,
    style: styleOf(format === 'json' ? 'off' : colours(stdout), room(stdout)),
    errorStyle: styleOf(colours(stderr), room(stderr)),
    print: (text) => {
      if (format === 'human') stdout.write(`${text}\n`);
    },
    json: (value) => {
      if (format === 'json') stdout.write(`${JSON.stringify(value, null, 2)}\n`);
    },
    jsonLine: (value) => {
      if (format === 'json') stdout.write(`${JSON.stringify(value)}\n`);
    },
    note: (text) => {
      stderr.write(`${text}\n`);
    },
  };
}

/** Log lines of a container, indented and harmless to a terminal. */
export function logLines(lines: readonly string[], style: Style): string {
  return lines.map((line) => `  ${style.dim('│')} ${clean(line)}`).join('\n');
}
