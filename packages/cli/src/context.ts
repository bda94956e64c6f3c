import { createClient, type ApiClient } from '@berth/shared/api/client';
import { connectionOf, type Connection, type Environment } from './config.ts';
import type { Output } from './output/output.ts';

/** Everything a command may touch, handed over by main so that tests can hand over their own. */
export interface Context {
  readonly output: Output;
  readonly env: Environment;
  readonly cwd: string;
  readonly clock: { now(): number };
  /** Ends with Ctrl-C or SIGTERM. */
  readonly signal: AbortSignal;
  readonly connection: () => Connection;
  readonly api: () => ApiClient;
  readonly stdin: NodeJS.ReadStream;
}

export function createContext(options: {
  output: Output;
  env: Environment;
  cwd: string;
  clock: { now(): number };
  signal: AbortSignal;
  stdin: NodeJS.ReadStream;
  url: string | undefined;
  tokenFile: string | undefined;
}): Context {
  // A command may ask several times where it goes, and is told once what is wrong with that.
  const told = new Set<string>();
  const warn = (sentence: string): void => {
    if (told.has(sentence)) return;
    told.add(sentence);
    options.output.note(`warning: ${sentence}`);
  };
  const connection = (): Connection =>
    connectionOf({ url: options.url, tokenFile: options.tokenFile }, options.env, options.cwd, warn);
  return {
    output: options.output,
    env: options.env,
    cwd: options.cwd,
    clock: options.clock,
    signal: options.signal,
    stdin: options.stdin,
    connection,
    api: () => {
      const { url, token } = connection();
      return createClient(token === undefined ? { url } : { url, token });
    },
  };
}
