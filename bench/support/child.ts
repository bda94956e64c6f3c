import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import type { z } from 'zod';

/** A process of the bench that answers each question with one message. */
export interface Child<Answer> {
  /** Sends, when there is something to send, and waits for the next message. Errors: the process ended instead. */
  ask(message?: object): Promise<Answer>;
  kill(): Promise<void>;
  readonly pid: number;
}

/**
 * Bundles programs of the bench as the build bundles Berth's own: types that are stripped at start cost 50 MB that no
 * deployed coordinator has. Answers their paths, in the given order.
 */
export async function bundled(files: readonly string[], directory: string): Promise<string[]> {
  const packages = fileURLToPath(new URL('../../packages/coordinator/node_modules', import.meta.url));
  await mkdir(directory, { recursive: true });
  await symlink(packages, join(directory, 'node_modules'));
  await build({
    entryPoints: files.map((file) => fileURLToPath(new URL(`./${file}.ts`, import.meta.url))),
    outdir: directory,
    outExtension: { '.js': '.mjs' },
    bundle: true,
    format: 'esm',
    platform: 'node',
    target: 'node24',
    minifyWhitespace: true,
    external: ['better-sqlite3', 'bufferutil', 'utf-8-validate', 'pg-native'],
    banner: {
      js: "import { createRequire as berthRequire } from 'node:module'; const require = berthRequire(import.meta.url);",
    },
    logLevel: 'error',
  });
  return files.map((file) => join(directory, `${file}.mjs`));
}

/** Starts one with `--expose-gc`, so that memory can be read without garbage in it. */
export function startChild<S extends z.ZodType>(
  file: string,
  args: readonly string[],
  answers: S,
  flags: readonly string[] = [],
): Child<z.infer<S>> {
  const child: ChildProcess = fork(file, [...args], {
    execArgv: ['--expose-gc', ...flags],
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
    pid: child.pid ?? 0,
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
