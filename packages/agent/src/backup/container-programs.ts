import { Readable, type Duplex } from 'node:stream';
import { setTimeout as wait } from 'node:timers/promises';
import type Docker from 'dockerode';
import { BerthError, messageOf } from '@berth/shared/domain/errors';
import { z } from 'zod';
import type { RemoteProgram, RemotePrograms } from './address.ts';

const HEADER_BYTES = 8;
const STDERR = 2;
const KEEP_BYTES = 16 * 1024;
/** Docker notes an exit code a moment after the streams have ended. */
const EXIT_TRIES = 40;
const EXIT_PAUSE_MS = 50;

const State = z.object({ Running: z.boolean(), ExitCode: z.number().nullable(), Pid: z.number() });
const Refusal = z.object({ statusCode: z.number() });

/** Programs of one running container, by Docker exec. `where` names it in sentences: `service db of tenant acme`. */
export function containerPrograms(docker: Docker, container: string, where: string): RemotePrograms {
  return {
    where,
    async start(argv, { env, signal }) {
      signal.throwIfAborted();
      try {
        const exec = await docker.getContainer(encodeURIComponent(container)).exec({
          Cmd: [...argv],
          Env: Object.entries(env).map(([name, value]) => `${name}=${value}`),
          AttachStdin: true,
          AttachStdout: true,
          AttachStderr: true,
          Tty: false,
          abortSignal: signal,
        });
        const stream = await exec.start({ hijack: true, stdin: true, Tty: false });
        const state = async (): Promise<z.infer<typeof State>> => State.parse(await exec.inspect());
        return joined(stream, state, `${argv[0]} in ${where}`);
      } catch (cause) {
        signal.throwIfAborted();
        throw dockerError(cause, argv[0], where);
      }
    },
  };
}

function joined(stream: Duplex, state: () => Promise<z.infer<typeof State>>, what: string): RemoteProgram {
  let stderr = '';
  let settle: (end: Promise<{ code: number; stderr: string }>) => void = () => undefined;
  const ended = new Promise<{ code: number; stderr: string }>((resolve) => {
    settle = resolve;
  });
  ended.catch(() => undefined);
  const decoder = new TextDecoder();
  const hear = (piece: Buffer): void => {
    stderr = `${stderr}${decoder.decode(piece, { stream: true })}`.slice(-KEEP_BYTES);
  };
  async function* output(): AsyncGenerator<Buffer> {
    try {
      yield* framesOf(stream, hear);
    } finally {
      settle(exitOf(state, what).then((code) => ({ code, stderr })));
    }
  }
  return {
    stdin: stream,
    stdout: Readable.from(output(), { objectMode: true, highWaterMark: 4 }),
    ended,
    stop() {
      // Docker leaves a program running whose reader has gone. It is ours: nobody else knows of this exec.
      void state()
        .then(({ Running, Pid }) => (Running && Pid > 0 ? process.kill(Pid, 'SIGTERM') : false))
        .catch(() => undefined)
        .finally(() => {
          stream.destroy();
          settle(exitOf(state, what).then((code) => ({ code, stderr })));
        });
    },
  };
}

/** What Docker sends is one stream of frames: which of the two it is of, how long it is, and then so many bytes. */
async function* framesOf(
  stream: AsyncIterable<string | Buffer>,
  hear: (piece: Buffer) => void,
): AsyncGenerator<Buffer> {
  const header = Buffer.alloc(HEADER_BYTES);
  let known = 0;
  let left = 0;
  for await (const chunk of stream) {
    const bytes = typeof chunk === 'string' ? Buffer.from(chunk) : chunk;
    for (let at = 0; at < bytes.length;) {
      if (left === 0) {
        const copied = bytes.copy(header, known, at, at + HEADER_BYTES - known);
        at += copied;
        known += copied;
        if (known < HEADER_BYTES) continue;
        known = 0;
        left = header.readUInt32BE(4);
        continue;
      }
      const piece = bytes.subarray(at, at + left);
      at += piece.length;
      left -= piece.length;
      if (header[0] === STDERR) hear(piece);
      else yield piece;
    }
  }
  if (left > 0) throw new Error('the connection to Docker ended in the middle of a frame');
}

async function exitOf(state: () => Promise<z.infer<typeof State>>, what: string): Promise<number> {
  for (let tries = 0; tries < EXIT_TRIES; tries += 1) {
    const { Running, ExitCode } = await state();
    if (!Running && ExitCode !== null) return ExitCode;
    await wait(EXIT_PAUSE_MS);
  }
  throw new BerthError('docker_unavailable', `Docker does not say how ${what} ended.`);
}

function dockerError(cause: unknown, program: string, where: string): BerthError {
  const status = Refusal.safeParse(cause).data?.statusCode;
  if (status === 404 || status === 409)
    return new BerthError(
      'backup_database_unavailable',
      `${program} cannot be run in ${where}: its container is not there or does not run.`,
      { cause },
    );
  return new BerthError(
    'docker_unavailable',
    `Docker could not run ${program} in ${where}: ${messageOf(cause)}.`,
    { cause },
  );
}
