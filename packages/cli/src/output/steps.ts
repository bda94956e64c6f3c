import { duration, shortDigests } from './format.ts';
import type { Output } from './output.ts';
import { clean, columnsOf, cut } from './style.ts';

export type StepState = 'done' | 'failed' | 'waiting';

/** Shows work step by step: on a terminal the running line is redrawn, elsewhere each ended step is one line. */
export interface StepList {
  /** A step has begun. `key` ties it to its end. */
  started(key: string, title: string): void;
  ended(key: string, title: string, state: StepState, ms: number | null): void;
  /** A remark between the steps, such as why it waits. */
  remark(text: string): void;
  /** Leaves the running line as it is and stops redrawing. */
  close(): void;
}

const FRAMES = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'];

export function createStepList(output: Output, clock: { now(): number }): StepList {
  if (output.format === 'json') {
    return { started: () => {}, ended: () => {}, remark: () => {}, close: () => {} };
  }
  const { stdout, style } = output;
  const live = stdout.isTTY === true;
  let running: { key: string; title: string; since: number } | undefined;
  let timer: ReturnType<typeof setInterval> | undefined;
  let frame = 0;

  const erase = (): void => {
    if (live && running !== undefined) stdout.write('\r\u001b[K');
  };
  const draw = (): void => {
    if (!live || running === undefined) return;
    const elapsed = duration(clock.now() - running.since);
    const room = columnsOf(stdout) - elapsed.length - 6;
    const spinner = style.cyan(FRAMES[frame % FRAMES.length] ?? ' ');
    stdout.write(`\r\u001b[K  ${spinner} ${cut(running.title, room)} ${style.dim(elapsed)}`);
  };
  const sign = (state: StepState): string => {
    if (state === 'done') return style.green('✓');
    return state === 'failed' ? style.red('✗') : style.yellow('…');
  };

  return {
    started: (key, title) => {
      erase();
      running = { key, title: shortDigests(clean(title)), since: clock.now() };
      if (!live) return;
      draw();
      timer ??= setInterval(() => {
        frame += 1;
        draw();
      }, 100);
    },
    ended: (key, title, state, ms) => {
      erase();
      const shown = running?.key === key ? running.title : shortDigests(clean(title));
      if (running?.key === key) running = undefined;
      const time = ms === null ? '' : ` ${style.dim(duration(ms))}`;
      stdout.write(`${output.folded(`  ${sign(state)} ${shown}${time}`)}\n`);
      draw();
    },
    remark: (text) => {
      erase();
      stdout.write(`${output.folded(`  ${clean(text)}`)}\n`);
      draw();
    },
    close: () => {
      clearInterval(timer);
      erase();
      running = undefined;
    },
  };
}
