import { run } from './commands.ts';

export interface WrkResult {
  requests: number;
  seconds: number;
  /** Connect, read, write errors and time-outs, and answers other than 2xx and 3xx. */
  failed: number;
}

/** One slice of load: as many requests as 64 keep-alive connections of one thread can make. */
export async function wrk(
  options: { port: number; host: string; seconds: number },
  signal: AbortSignal,
): Promise<WrkResult> {
  const text = await run(
    'wrk',
    [
      '-t1',
      '-c64',
      `-d${options.seconds}s`,
      '--timeout',
      '10s',
      '-H',
      `Host: ${options.host}`,
      `http://127.0.0.1:${options.port}/`,
    ],
    signal,
  );
  const done = /(\d+) requests in ([\d.]+)(ms|s|m),/.exec(text);
  if (done?.[1] === undefined || done[2] === undefined) throw new Error(`wrk said: ${text}`);
  const unit = done[3] === 'm' ? 60 : done[3] === 'ms' ? 0.001 : 1;
  const errors = /Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)/.exec(text);
  const refused = /Non-2xx or 3xx responses: (\d+)/.exec(text);
  const counts = [...(errors?.slice(1) ?? []), refused?.[1] ?? '0'];
  return {
    requests: Number(done[1]),
    seconds: Number(done[2]) * unit,
    failed: counts.reduce((sum, each) => sum + Number(each), 0),
  };
}
