import { BerthError, messageOf } from '@berth/shared/domain/errors';
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { applyApp } from '../apply.ts';
import { phaseWord } from '../output/format.ts';
import type { StepList } from '../output/steps.ts';
import { waitForTenant } from '../wait.ts';
import type { Local } from './bring-up.ts';
import { rootDir } from './dist.ts';
import { builderOf } from './docker.ts';
import { writeInstance } from './instance.ts';
import { visit, type Answer } from './probe.ts';

export interface Shop {
  tenants: { tenant: string; domain: string; url: string }[];
}

const APP = 'shop';
const TENANTS = [
  { tenant: 'acme', domain: 'acme.shop.localhost', greeting: 'Welcome to Acme' },
  { tenant: 'globex', domain: 'globex.shop.localhost', greeting: 'Globex says hello' },
] as const;

export interface ShopOptions {
  local: Local;
  /** `own`: image names that no other instance on this Docker daemon has, so that none takes another's away. */
  names: 'own' | 'usual';
  cwd: string;
  signal: AbortSignal;
  clock: { now(): number };
  say: (sentence: string) => void;
  list: () => StepList;
}

/** Builds the example's images, applies its template, creates its tenants and waits until each answers through Nginx. */
export async function openShop(options: ShopOptions): Promise<Shop> {
  const { local, signal, say, clock } = options;
  let began = clock.now();
  const spent = (): string => {
    const ms = clock.now() - began;
    began = clock.now();
    return `${(ms / 1000).toFixed(1)} s`;
  };
  await chooseNames(options);
  await buildImages(options);
  say(`example images ready (${spent()})`);
  const app = await openApp(options);

  const tenants: Shop['tenants'] = [];
  for (const one of TENANTS) {
    await openTenant(options, app, one);
    const url = `http://${one.domain}:${local.instance.httpPort}/`;
    tenants.push({ tenant: one.tenant, domain: one.domain, url });
  }
  local.instance.example = tenants.map(({ tenant, domain }) => ({ tenant, domain }));
  writeInstance(local.home, local.instance);
  for (const one of tenants) await untilAnswers(local.instance.httpPort, one.domain, one.tenant, signal);
  say(`${tenants.map((one) => one.tenant).join(' and ')} answer through Nginx (${spent()})`);
  return { tenants };
}

/**
 * The usual names are what a person's own tenants of the example will use. When another instance has made images of
 * those names, this one's get names of their own: building would take the names away, and `down` the images.
 */
async function chooseNames({ local, names }: ShopOptions): Promise<void> {
  const { instance } = local;
  if (instance.registry !== null || instance.example.length > 0) return;
  if (names === 'usual') {
    const owner = await builderOf(local.docker, 'localhost:5000/shop-web:1');
    if (owner === undefined || owner === instance.agent) return;
  }
  instance.registry = `${instance.agent}.localhost:5000`;
  writeInstance(local.home, instance);
}

function unlessMissing(thrown: unknown): undefined {
  if (thrown instanceof BerthError && thrown.code === 'not_found') return undefined;
  throw thrown;
}

/** Applies the template where there is no app yet. One that is there may have had releases since: it stays as it is. */
async function openApp({ local, cwd, signal, say }: ShopOptions): Promise<string> {
  const existing = await local.api.showApp({ params: { app: APP } }, signal).catch(unlessMissing);
  if (existing !== undefined) {
    say(`app ${APP} is here already, current release ${existing.current}`);
    return APP;
  }
  const file = join(rootDir(), 'examples', 'shop', 'compose.yaml');
  const applied = await applyApp(local.api, cwd, signal, { file, name: APP, label: [], set: [] });
  say(`app ${applied.app}, release ${applied.release}`);
  return applied.app;
}

async function openTenant(options: ShopOptions, app: string, one: (typeof TENANTS)[number]): Promise<void> {
  const { local, signal } = options;
  const existing = await local.api
    .showTenant({ params: { tenant: one.tenant } }, signal)
    .catch(unlessMissing);
  if (existing !== undefined) {
    options.say(
      `${one.tenant} is here already, generation ${existing.generation}, ${phaseWord(existing.phase)}`,
    );
    return;
  }
  const variables: Record<string, string> = { GREETING: one.greeting };
  if (local.instance.registry !== null) variables['REGISTRY'] = local.instance.registry;
  const body = { tenant: one.tenant, app, domains: [one.domain], variables };
  const changed = await local.api.createTenant({ body }, signal);
  options.say(`${one.tenant}: deploying`);
  const outcome = await waitForTenant({
    api: local.api,
    tenant: one.tenant,
    generation: changed.generation,
    afterEvent: changed.afterEvent,
    goal: 'live',
    timeoutMs: 180_000,
    signal,
    clock: options.clock,
    list: options.list(),
  });
  if (outcome.outcome !== 'live') {
    signal.throwIfAborted();
    const tail = outcome.problem?.logTail.map((line) => `\n  │ ${line}`).join('') ?? '';
    throw new BerthError(
      outcome.problem?.code ?? 'timeout',
      `${one.tenant} did not come up: ${outcome.problem?.message ?? outcome.outcome}${tail}`,
    );
  }
}

/** The paused and the broken do not count here: `up` waits for what it made itself. */
async function untilAnswers(
  port: number,
  domain: string,
  tenant: string,
  signal: AbortSignal,
): Promise<Answer> {
  let last = 'no answer yet';
  for (let waited = 0; waited < 60_000; waited += 100) {
    try {
      const answer = await visit(port, domain, { timeoutMs: 3000 });
      if (answer.status === 200) return answer;
      last = `status ${answer.status}`;
    } catch (thrown) {
      last = messageOf(thrown);
    }
    await sleep(100, undefined, { signal });
  }
  throw new BerthError(
    'verify_failed',
    `${tenant} does not answer at http://${domain}:${port}/ after 60 s (${last}).`,
  );
}

/** The example's own build script makes the images; what it says on stderr is progress. */
function buildImages(options: ShopOptions): Promise<void> {
  const script = join(rootDir(), 'examples', 'shop', 'build.mjs');
  if (!existsSync(script))
    throw new BerthError('not_found', `${script} is missing, so the example cannot be built.`);
  const { instance } = options.local;
  const args = [script, '--socket', instance.dockerSocket, '--instance', instance.agent, '--json'];
  if (instance.registry !== null) args.push('--registry', instance.registry);
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, args, {
      stdio: ['ignore', 'ignore', 'pipe'],
      env: { ...process.env, BERTH_HOME: options.local.home.dir },
      signal: options.signal,
    });
    let last = '';
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
      for (const line of chunk.split('\n').filter((text) => text.trim() !== '')) {
        last = line;
        options.say(line);
      }
    });
    child.on('error', reject);
    child.on('close', (code) => {
      if (code === 0) resolve();
      else
        reject(
          new BerthError(
            'internal',
            `The example's images could not be built: ${last || `exit code ${code}`}`,
          ),
        );
    });
  });
}
