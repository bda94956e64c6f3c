import type { Command } from 'commander';
import { z } from 'zod';
import type { Finding } from '@berth/shared/compose/findings';
import { BerthError } from '@berth/shared/domain/errors';
import type { Context } from '../context.ts';
import { findingLines } from '../output/errors.ts';
import { fields } from '../output/table.ts';
import { readSecretFlags } from '../read-secret.ts';
import { databaseText } from './database-view.ts';
import { argument, collect, does, examples, type ContextOf } from './define.ts';
import { followChange } from './deploy.ts';
import { hostIdOf } from './host-id.ts';
import { parseCount, parseEgress, parseTag, readVariables } from './parse.ts';
import { addWaitOptions, WaitFlags } from './wait-options.ts';

export function registerTenantCreate(tenant: Command, contextOf: ContextOf): void {
  const create = tenant
    .command('create')
    .description('create a tenant, place it on a host and wait until it is live')
    .argument('<tenant>')
    .requiredOption('--app <app>', 'the app it is a copy of')
    .requiredOption('--domain <domain>', 'a host name it answers to; may be said again', collect)
    .option('--var <k=v>', 'a variable of the template; may be said again', collect)
    .option('--var-file <file>', 'variables as NAME=value lines; keeps them out of the process list', collect)
    .option(
      '--secret <name>',
      'a secret: NAME asks, NAME=- reads stdin, NAME=@file, NAME=aws-ssm:/path; may be said again',
      collect,
    )
    .option('--pool <pool>', 'the pool of hosts to choose from')
    .option('--host <host>', 'this host and no other')
    .option('--dedicated', 'on a host of its own, on which no other tenant is placed')
    .option(
      '--egress <policy>',
      'where it may connect to: internet, public, none, or addresses such as 10.1.0.0/16,192.0.2.7',
    )
    .option(
      '--take-up-database',
      'with the data that a deleted tenant of this name left on a database server',
    )
    .option('--release <n>', 'this release; without it the one the app is at')
    .option('--tag <tag>', 'such as canary or tier=free, for rollouts; may be said again', collect);
  addWaitOptions(create);
  examples(create, [
    ['berth tenant create acme --app shop --domain acme.example.com', ''],
    ['berth tenant create acme --app shop --domain acme.example.com --var GREETING=hi --pool eu-1', ''],
  ]);
  const options = WaitFlags.extend({
    app: z.string(),
    domain: z.array(z.string()),
    var: z.array(z.string()).optional(),
    varFile: z.array(z.string()).optional(),
    secret: z.array(z.string()).optional(),
    pool: z.string().optional(),
    host: z.string().optional(),
    dedicated: z.boolean().default(false),
    egress: z.string().optional(),
    takeUpDatabase: z.boolean().default(false),
    release: z.string().optional(),
    tag: z.array(z.string()).optional(),
  });
  does(create, contextOf, options, async (context, args, given) => {
    const api = context.api();
    const { output } = context;
    const name = argument(args, 0);
    const variables = readVariables(given, context.cwd);
    const secrets = await readSecretFlags(context, given.secret ?? []);
    const tags = (given.tag ?? []).map((tag) => parseTag(tag, '--tag'));
    const body = {
      tenant: name,
      app: given.app,
      domains: given.domain,
      variables,
      ...(Object.keys(secrets).length === 0 ? {} : { secrets }),
      tags,
      ...(given.pool === undefined ? {} : { pool: given.pool }),
      ...(given.host === undefined ? {} : { host: await hostIdOf(api, given.host, context.signal) }),
      ...(given.dedicated ? { tenancy: 'dedicated' as const } : {}),
      ...(given.egress === undefined ? {} : { egress: parseEgress(given.egress) }),
      ...(given.takeUpDatabase ? { takeUpDatabase: true } : {}),
      ...(given.release === undefined ? {} : { release: parseCount(given.release, '--release') }),
    };
    const changed = await api.createTenant({ body }, context.signal);
    const placed = await api.showTenant({ params: { tenant: name } }, context.signal);
    output.print(
      fields(
        [
          ['tenant', output.style.bold(name)],
          ['app', `${placed.app}, release ${placed.release}`],
          ['host', `${placed.hostName} (pool ${placed.pool}${given.dedicated ? ', dedicated' : ''})`],
          ['domains', placed.domains.join(', ')],
          ...(tags.length === 0 ? [] : [['tags', tags.join(' ')] as const]),
          ...(placed.database === undefined ? [] : [['database', databaseText(placed.database)] as const]),
          ['variables', Object.keys(variables).join(', ') || 'none of its own'],
        ],
        output.style,
      ),
    );
    const warnings = await warningsOf(context, name, variables);
    if (warnings.length > 0) output.print(output.style.yellow(findingLines('warning', warnings)));
    await followChange(context, changed, 'live', given, { warnings });
  });
}

/** What a plan of the very same variables warns of: names that the template does not use. */
async function warningsOf(
  context: Context,
  tenant: string,
  variables: Readonly<Record<string, string>>,
): Promise<Finding[]> {
  if (Object.keys(variables).length === 0) return [];
  try {
    return (await context.api().planTenant({ params: { tenant }, body: { variables } }, context.signal))
      .warnings;
  } catch (thrown) {
    // The tenant is made; a remark that cannot be had must not look like a failure.
    if (thrown instanceof BerthError) return [];
    throw thrown;
  }
}
