import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import type { z } from 'zod';

/** A process of the bench that answers each question with one message. */
export interface Child<Answer> {
  /** Sends, when there is something to send, and waits for the next message. Errors: the process ended instead. */
  ask(message?: object): Promise<Answer>;
  kill(): Promise<void>;
}

/** Starts one with `--expose-gc`, so that memory can be read without garbage in it. */
export function startChild<S extends z.ZodType>(
  file: string,
  args: readonly string[],
  answers: S,
): Child<z.infer<S>> {
  const child: ChildProcess = fork(new URL(file, import.meta.url), [...args], {
    execArgv: ['--expose-gc'],
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  const inbox: z.infer<S>[] = [];
  let wake: (() => void) | null = null;
  let ended = false;
  child.on('message', (raw) => {
    inbox.push(answers.parse(raw));
    wake?.();
  });
  child.on('exit', () => {
    ended = true;
    wake?.();
  });
  return {
    async ask(message) {
      if (message !== undefined) child.send(message);
      for (;;) {
        const answer = inbox.shift();
        if (answer !== undefined) return answer;
        if (ended) throw new Error(`${file} ${args[0] ?? ''} ended before it answered`);
        await new Promise<void>((resolve) => (wake = resolve));
      }
    },
    async kill() {
      if (ended) return;
      child.kill('SIGKILL');
      await once(child, 'exit');
    },
  };
}
