import { VERSION } from '@berth/shared/domain/version';
import { closeSync, fsyncSync, mkdirSync, openSync, rmSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import pino from 'pino';
import { BerthError } from '@berth/shared/domain/errors';
import { readConfig } from './config.ts';
import { createContext } from './context.ts';
import { safeLine } from './http/text.ts';
import type { Access } from './services/access.ts';
import { startServer } from './server.ts';

/** The coordinator: `--config FILE`, BERTH_COORDINATOR_*. Prints one JSON line when it is ready; logs go to stderr. */
async function main(): Promise<void> {
  const config = readConfig(process.argv.slice(2), process.env);
  const log = pino(
    { name: 'berth-coordinator', level: config.logLevel, hooks: { streamWrite: safeLine } },
    pino.destination({ fd: 2, sync: true }),
  );
  const stopping = new AbortController();
  for (const name of ['SIGTERM', 'SIGINT'] as const)
    process.on(name, () => {
      if (stopping.signal.aborted) process.exit(1);
      log.info({ signal: name }, 'Stopping.');
      stopping.abort();
    });

  const context = await createContext(config, log, stopping.signal);
  try {
    if (config.adminTokenFile !== undefined) await firstToken(context.services.access, config.adminTokenFile);
    const server = await startServer(context, config, log, stopping.signal);
    log.info({ url: server.url, store: context.store.kind, version: VERSION }, 'Ready.');
    process.stdout.write(`${JSON.stringify({ event: 'ready', url: server.url, version: VERSION })}\n`);
    await server.closed;
  } finally {
    await context.close();
  }
  log.info({}, 'Stopped.');
}

/** Writes the first admin token, once, to a file only its owner can read. */
async function firstToken(access: Access, path: string): Promise<void> {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  await access.bootstrap((token) => {
    // Made anew, so that an older file's rights are not inherited.
    rmSync(path, { force: true });
    const file = openSync(path, 'wx', 0o600);
    try {
      writeSync(file, `${token}\n`);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
  });
}

main().catch((thrown: unknown) => {
  const sentence =
    thrown instanceof BerthError ? thrown.message : String(thrown instanceof Error ? thrown.stack : thrown);
  process.stderr.write(`berth coordinator: ${sentence}\n`);
  process.exitCode = 1;
});
