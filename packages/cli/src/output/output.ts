import { foldText } from './fold.ts';
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
  /**
   * A sentence or several. For people only, as all but `json` and `note` is: nothing when the format is JSON. On a
   * terminal it is folded to its width; elsewhere each sentence stays one line, so that it can be searched for.
   */
  print(text: string): void;
  /** A view of many lines, such as a plan: folded to the width that tables have, wherever it goes. */
  show(view: string): void;
  /** What somebody else wrote, such as a log line or a file: never folded. */
  quote(text: string): void;
  /** As `print` folds it. */
  folded(text: string): string;
  /** The one JSON document of a command, or one line of a stream; nothing when the format is human. */
  json(value: unknown): void;
  jsonLine(value: unknown): void;
  /** A remark beside the answer: stderr, in both formats. Folded as by `print`. */
  note(text: string): void;
}

/** In a file or a pipe nobody says how wide it is shown. */
const UNKNOWN = 80;

export function createOutput(options: {
  format: Format;
  stdout: Sink;
  stderr: Sink;
  env: Environment;
}): Output {
  const { format, stdout, stderr, env } = options;
  const colours = (sink: Sink): 'on' | 'off' => (wantsColour(env, sink.isTTY === true) ? 'on' : 'off');
  // One less than the terminal has, since some break the line after its last column.
  const room = (sink: Sink) => (): number => (sink.isTTY === true ? columnsOf(sink) - 1 : UNKNOWN);
  const style = styleOf(format === 'json' ? 'off' : colours(stdout), room(stdout));
  const errorStyle = styleOf(colours(stderr), room(stderr));
  const folded = (text: string): string => (stdout.isTTY === true ? foldText(text, style.room()) : text);
  const write = (text: string): void => {
    if (format === 'human') stdout.write(`${text}\n`);
  };
  return {
    format,
    stdout,
    stderr,
    style,
    errorStyle,
    print: (text) => write(folded(text)),
    show: (view) => write(foldText(view, style.room())),
    quote: write,
    folded,
    json: (value) => {
      if (format === 'json') stdout.write(`${JSON.stringify(value, null, 2)}\n`);
    },
    jsonLine: (value) => {
      if (format === 'json') stdout.write(`${JSON.stringify(value)}\n`);
    },
    note: (text) => {
      const told = format === 'human' && stderr.isTTY === true ? foldText(text, errorStyle.room()) : text;
      stderr.write(`${told}\n`);
    },
  };
}

/** Log lines of a container, indented and harmless to a terminal. */
export function logLines(lines: readonly string[], style: Style): string {
  return lines.map((line) => `  ${style.dim('│')} ${clean(line)}`).join('\n');
}
