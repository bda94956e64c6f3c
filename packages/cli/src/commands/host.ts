import type { Host } from '@berth/shared/api/schemas';
import { unreachable } from '@berth/shared/domain/errors';
import { z } from 'zod';
import { confirm } from '../output/ask.ts';
import { ago, bytes, timestamp } from '../output/format.ts';
import { clean, type Style } from '../output/style.ts';
import { fields, table } from '../output/table.ts';
import { fieldWords } from './change-words.ts';
import { argument, does, examples, NoOptions, type Register } from './define.ts';
import { parseTime } from './parse.ts';
import { allPages } from './pages.ts';
import { hostIdOf } from './host-id.ts';
import { nginxText } from './host-nginx.ts';
import { registerHostProbe } from './host-probe.ts';
import { addReenrol } from './host-reenrol.ts';

export const registerHost: Register = (program, contextOf) => {
  const host = program.command('host').description('hosts: the machines that carry tenants');

  does(host.command('list').description('all hosts'), contextOf, NoOptions, async (context) => {
    const { output, clock } = context;
    const api = context.api();
    const items = await allPages((query) => api.listHosts({ query }, context.signal));
    output.json({ items });
    const rows = items.map((one) => [
      one.name,
      one.host,
      one.pool,
      `${connection(one, output.style, clock.now())}${one.scheduling === 'open' ? '' : output.style.yellow(', cordoned')}`,
      String(one.tenants),
      `${bytes(one.reserved.memoryBytes)}/${bytes(one.capacity.memoryBytes)}`,
      `${round(one.reserved.cpus)}/${round(one.capacity.cpus)}`,
    ]);
    output.print(
      rows.length === 0
        ? 'No hosts yet, or none that this token may see. Enrol one: berth host join-token'
        : table(['NAME', 'HOST', 'POOL', 'STATE', 'TENANTS', 'MEMORY', 'CPUS'], rows, output.style),
    );
  });

  const show = host.command('show').description('one host').argument('<host>', 'its id or name');
  does(show, contextOf, NoOptions, async (context, args) => {
    const { output, clock } = context;
    const api = context.api();
    const id = await hostIdOf(api, argument(args, 0), context.signal);
    const one = await api.showHost({ params: { host: id } }, context.signal);
    output.json(one);
    output.print(fields(hostFields(one, output.style, clock.now()), output.style));
  });

  const join = host
    .command('join-token')
    .description('a token that enrols one host, once')
    .option('--pool <pool>', 'the pool the host joins', 'default')
    .option('--ttl <time>', 'how long it can be used', '15m');
  examples(join, [
    ['berth host join-token --pool eu-1', ''],
    ['berth host join-token --json | jq -r .token > join-token', "for the agent's joinTokenFile"],
  ]);
  does(join, contextOf, z.object({ pool: z.string(), ttl: z.string() }), async (context, _args, options) => {
    const body = { pool: options.pool, ttlMs: parseTime(options.ttl, '--ttl') };
    const made = await context.api().createJoinToken({ body }, context.signal);
    context.output.json(made);
    context.output.print(made.token);
    if (context.output.format === 'human') {
      context.output.note(
        `It enrols one host into the pool ${made.pool} until ${timestamp(made.expiresAt)} UTC and is not shown again.\nPut it in a file (mode 0600) that the agent's config names as joinTokenFile.`,
      );
    }
  });

  for (const verb of ['cordon', 'uncordon'] as const) {
    const command = host
      .command(verb)
      .description(verb === 'cordon' ? 'take no new tenants; those it has stay' : 'take new tenants again')
      .argument('<host>', 'its id or name');
    does(command, contextOf, NoOptions, async (context, args) => {
      const api = context.api();
      const id = await hostIdOf(api, argument(args, 0), context.signal);
      const call = verb === 'cordon' ? api.cordonHost : api.uncordonHost;
      const one = await call({ params: { host: id } }, context.signal);
      context.output.json(one);
      context.output.print(
        `${one.name} ${one.scheduling === 'open' ? 'takes new tenants' : 'takes no new tenants'}`,
      );
    });
  }

  addReenrol(host, contextOf);

  registerHostProbe(host, contextOf);

  const remove = host
    .command('remove')
    .description('forget a host that carries no tenants')
    .argument('<host>', 'its id or name')
    .option('-y, --yes', 'do not ask');
  does(remove, contextOf, z.object({ yes: z.boolean().default(false) }), async (context, args, options) => {
    const api = context.api();
    const id = await hostIdOf(api, argument(args, 0), context.signal);
    const one = await api.showHost({ params: { host: id } }, context.signal);
    const question = `Forget the host ${one.name} (${one.host})? Its agent can only come back with a new join token.`;
    if ((await confirm(context, question, options.yes)) === 'no') {
      context.output.print('Nothing was changed.');
      return;
    }
    const done = await api.removeHost({ params: { host: id } }, context.signal);
    context.output.json({ host: id, ...done });
    context.output.print(`${one.name} is forgotten`);
  });
};

function connection(host: Host, style: Style, now: number): string {
  switch (host.connection) {
    case 'online':
      return style.green('online');
    case 'offline':
      return style.red(`offline, seen ${ago(host.lastSeenAt, now)}`);
    case 'never-seen':
      return style.yellow('never seen');
    default:
      return unreachable(host.connection);
  }
}

/** Keys and the beginnings of keys say nothing to a reader; --json has them. */
const FOR_MACHINES: ReadonlySet<string> = new Set(['sealing', 'releaseKeys', 'releaseRule']);

const FACTS: Readonly<Record<string, string>> = {
  releaseSigners: 'needs signature',
  poolSigners: "pool's signers",
  signersRefused: 'refuses signers',
};

function round(cpus: number): string {
  return String(Math.round(cpus * 100) / 100);
}

function hostFields(one: Host, style: Style, now: number): [string, string][] {
  const rows: [string, string][] = [
    ['host', one.host],
    ['name', one.name],
    ['pool', one.pool],
    ['connection', connection(one, style, now)],
    ['new tenants', one.scheduling === 'open' ? 'yes' : style.yellow('no (cordoned)')],
    ['tenants', `${one.tenants}${one.dedicatedTo == null ? '' : `, dedicated to ${one.dedicatedTo}`}`],
    ['memory', `${bytes(one.reserved.memoryBytes)} of ${bytes(one.capacity.memoryBytes)} reserved`],
    [
      'cpus',
      `${round(one.capacity.cpus)}, ${round(one.reserved.cpus)} reserved (may be reserved several times over)`,
    ],
    [
      'revision',
      one.revision === one.ackedRevision
        ? `${one.revision}, acknowledged`
        : `${one.revision}, the agent has ${one.ackedRevision}`,
    ],
    ['ingress', one.ingress === null ? 'not known yet' : `${one.ingress.address}:${one.ingress.port}`],
    ['agent', one.agentVersion ?? 'not known yet'],
  ];
  if (typeof one.instance === 'string') rows.splice(3, 0, ['instance', clean(one.instance)]);
  if (one.report !== null) {
    const { report } = one;
    rows.push(
      ['docker', report.docker === 'up' ? style.green('up') : style.red('down')],
      ['nginx', nginxText(one, style)],
      ['free memory', `${bytes(report.memoryAvailableBytes)} of ${bytes(report.memoryTotalBytes)}`],
      ['free disk', `${bytes(report.diskAvailableBytes)} of ${bytes(report.diskTotalBytes)}`],
      ['containers', String(report.containers)],
    );
    if (report.orphans.length > 0) rows.push(['orphans', style.yellow(report.orphans.map(clean).join(', '))]);
  }
  for (const [name, value] of Object.entries(one.facts)) {
    if (FOR_MACHINES.has(name) || (name === 'poolSigners' && value === 'none')) continue;
    const shown = clean(value);
    rows.push([FACTS[name] ?? fieldWords(name), name === 'signersRefused' ? style.red(shown) : shown]);
  }
  return rows;
}
