import './memory.ts';
import { setTimeout as wait } from 'node:timers/promises';
import pino, { type Logger } from 'pino';
import { BerthError, messageOf } from '@berth/shared/domain/errors';
import { readConfig } from './config.ts';
import { createContext, type Context } from './context.ts';
import { failpointFrom } from './failpoint.ts';

const RETRY_MS = 2_000;

/** The agent: `--config FILE`. Prints one JSON line when it works; logs go to stderr. */
async function main(): Promise<void> {
  const config = readConfig(process.argv.slice(2));
  const log = pino({ name: 'berth-agent', level: config.logLevel }, pino.destination({ fd: 2, sync: false }));
  const stopping = new AbortController();
  const { signal } = stopping;
  for (const name of ['SIGTERM', 'SIGINT'] as const) {
    process.on(name, () => {
      if (signal.aborted) process.exit(1);
      log.info({ signal: name }, 'Stopping; the tenants run on.');
      stopping.abort(new Error('the agent stops'));
    });
  }

  const context = await createContext(config, log, failpointFrom(process.env));
  try {
    await context.prepare(signal);
    // The tenants come first: what was desired last is kept up whether or not the coordinator answers.
    const loop = context.loop.run(signal);
    const link = connect(context, log, signal);
    const traffic = context.traffic.run(signal);
    await Promise.race([loop, link]);
    stopping.abort(new Error('the agent stops'));
    await Promise.all([loop, link, traffic]);
  } catch (thrown) {
    if (!signal.aborted) throw thrown;
  } finally {
    context.close();
  }
  log.info({}, 'Stopped.');
}

/** Enrols, however long that takes, and stays connected. */
async function connect(context: Context, log: Logger, signal: AbortSignal): Promise<void> {
  let said = '';
  while (!signal.aborted) {
    try {
      const host = await context.enrol(signal);
      process.stdout.write(`${JSON.stringify({ event: 'ready', host })}\n`);
      break;
    } catch (thrown) {
      if (signal.aborted) return;
      const sentence = messageOf(thrown);
      if (sentence !== said)
        log.error({ code: thrown instanceof BerthError ? thrown.code : 'internal' }, sentence);
      said = sentence;
      await wait(RETRY_MS, undefined, { signal }).catch(() => undefined);
    }
  }
  if (!signal.aborted) await context.link.run(signal);
}

main().catch((thrown: unknown) => {
  const sentence =
    thrown instanceof BerthError ? thrown.message : String(thrown instanceof Error ? thrown.stack : thrown);
  process.stderr.write(`berth agent: ${sentence}\n`);
  process.exitCode = 1;
});
