import type { ApiClient } from '@berth/shared/api/client';
import type { ConfigValue, TenantExplain } from '@berth/shared/api/schemas';
import type { Command } from 'commander';
import { egressText } from '@berth/shared/domain/egress';
import { z } from 'zod';
import { ago, timestamp } from '../output/format.ts';
import { clean } from '../output/style.ts';
import { fields, table } from '../output/table.ts';
import { databaseText } from './database-view.ts';
import { argument, does, examples, NoOptions, type ContextOf } from './define.ts';
import { explainView } from './explain-view.ts';
import { hostIdOf } from './host-id.ts';
import { allPages } from './pages.ts';
import { parseCount } from './parse.ts';
import { phaseText } from './phase.ts';
import { windowText } from './tenant-rollouts.ts';

export function registerTenantLook(tenant: Command, contextOf: ContextOf): void {
  const list = tenant
    .command('list')
    .description('tenants by name')
    .option('--app <app>', 'only of this app')
    .option('--host <host>', 'only on this host');
  const listOptions = z.object({ app: z.string().optional(), host: z.string().optional() });
  does(list, contextOf, listOptions, async (context, _args, given) => {
    const { output } = context;
    const api = context.api();
    const filter = {
      ...(given.app === undefined ? {} : { app: given.app }),
      ...(given.host === undefined ? {} : { host: await hostIdOf(api, given.host, context.signal) }),
    };
    const items = await allPages((page) =>
      api.listTenants({ query: { ...page, ...filter } }, context.signal),
    );
    output.json({ items });
    // Only where somebody uses them: an empty column tells nobody anything.
    const tagged = items.some((one) => one.tags.length > 0);
    const rows = items.map((one) => [
      one.tenant,
      `${one.app}:${one.release}${one.pinned === null ? '' : output.style.yellow(' (pinned)')}`,
      `${one.generation}`,
      phaseText(one, output.style),
      one.hostName,
      ...(tagged ? [one.tags.join(' ')] : []),
      one.urls[0] ?? one.domains[0] ?? '',
    ]);
    const head = ['TENANT', 'APP', 'GEN', 'STATE', 'HOST', ...(tagged ? ['TAGS'] : []), 'URL'];
    output.print(
      rows.length === 0
        ? 'No tenants yet, or none that this token may see. Make one: berth tenant create acme --app shop --domain acme.example.com'
        : table(head, rows, output.style),
    );
  });

  const show = tenant.command('show').description('one tenant').argument('<tenant>');
  does(show, contextOf, NoOptions, async (context, args) => {
    const { output, clock } = context;
    const one = await context.api().showTenant({ params: { tenant: argument(args, 0) } }, context.signal);
    output.json(one);
    const rows: [string, string][] = [
      ['tenant', output.style.bold(one.tenant)],
      ['app', `${one.app}, release ${one.release}`],
      ['state', phaseText(one, output.style)],
      ['generation', `${one.generation} wanted, ${one.live ?? 'none'} live`],
      ['host', `${one.hostName} (${one.host}), pool ${one.pool}`],
      ['urls', one.urls.join('\n') || 'none'],
      ['domains', one.domains.join('\n')],
      ['reported', ago(one.reportedAt, clock.now())],
      ['created', timestamp(one.createdAt)],
    ];
    if (one.tags.length > 0) rows.push(['tags', one.tags.join(' ')]);
    if (one.pinned !== null) rows.push(['pinned', output.style.yellow(clean(one.pinned))]);
    if (one.tenancy === 'dedicated') rows.push(['host shared', 'no, it is dedicated']);
    if (one.egress != null)
      rows.push(['egress', `${egressText(one.egress).replaceAll(',', ', ')} (an operator's word)`]);
    if (one.database !== undefined) rows.push(['database', databaseText(one.database)]);
    if (one.window !== null) rows.push(['window', windowText(one.window, clock.now())]);
    if (one.problem !== null) rows.push(['problem', output.style.red(clean(one.problem.message))]);
    output.print(fields(rows, output.style));
  });

  const config = tenant
    .command('config')
    .description('each effective value and where it comes from')
    .argument('<tenant>');
  does(config, contextOf, NoOptions, async (context, args) => {
    const { output } = context;
    const answer = await context
      .api()
      .tenantConfig({ params: { tenant: argument(args, 0) } }, context.signal);
    output.json(answer);
    const rows = answer.values.map((one) => [
      one.name,
      one.source === 'unset' ? output.style.dim('(unset)') : JSON.stringify(one.value),
      SOURCES[one.source],
    ]);
    output.print(
      rows.length === 0
        ? 'The template has no variables.'
        : table(['NAME', 'VALUE', 'FROM'], rows, output.style),
    );
  });

  const explain = tenant
    .command('explain')
    .description("why isn't it running? The plan, each blocked step and its reason")
    .argument('<tenant>');
  does(explain, contextOf, NoOptions, async (context, args) => {
    const { output } = context;
    const params = { tenant: argument(args, 0) };
    const api = context.api();
    const answer = await api.explainTenant({ params }, context.signal);
    output.json(answer);
    if (output.format === 'json') return;
    const since = answer.phase === 'blocked' ? await blockedSince(api, answer, context.signal) : null;
    output.show(explainView(answer, output, context.clock.now(), since));
  });

  const logs = tenant
    .command('logs')
    .description('the last lines of its containers')
    .argument('<tenant>')
    .argument('[service]')
    .option('--lines <n>', 'how many', '100');
  examples(logs, [['berth tenant logs acme web --lines 20', '']]);
  does(logs, contextOf, z.object({ lines: z.string() }), async (context, args, given) => {
    const { output } = context;
    const service = args[1];
    const lines = parseCount(given.lines, '--lines');
    const answer = await context.api().tenantLogs(
      {
        params: { tenant: argument(args, 0) },
        query: service === undefined ? { lines } : { lines, service },
      },
      context.signal,
    );
    output.json(answer);
    const width = Math.max(0, ...answer.lines.map((one) => one.service.length));
    for (const one of answer.lines) {
      output.quote(`${output.style.cyan(one.service.padEnd(width))} │ ${clean(one.line)}`);
    }
    if (answer.lines.length === 0) output.print('No log lines.');
  });
}

/** Where a value comes from, in words. */
const SOURCES: Readonly<Record<z.infer<typeof ConfigValue>['source'], string>> = {
  builtin: 'Berth',
  'template-default': 'default of the file',
  app: 'app',
  release: 'release',
  pool: 'pool',
  tenant: 'tenant',
  secret: 'secret',
  unset: 'nowhere',
};

/** When this generation was first blocked, as far as its last hundred tries tell. */
async function blockedSince(
  api: ApiClient,
  { tenant, generation }: TenantExplain,
  signal: AbortSignal,
): Promise<number | null> {
  const query = { tenant, kind: 'tenant.blocked', limit: 100 };
  const { items } = await api.listEvents({ query }, signal);
  return items.find((event) => event.generation === generation)?.at ?? null;
}
