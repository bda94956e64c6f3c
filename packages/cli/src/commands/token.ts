import { z } from 'zod';
import type { ExchangedToken } from '@berth/shared/api/oidc';
import type { Context } from '../context.ts';
import { createClient } from '@berth/shared/api/client';
import { exchangeAsJob } from '../github-oidc.ts';
import { confirm, readStdin } from '../output/ask.ts';
import { ago, minute, timestamp } from '../output/format.ts';
import { clean } from '../output/style.ts';
import { table } from '../output/table.ts';
import { AccessScope, Role, scopeFault, scopeText } from '@berth/shared/domain/access';
import { UsageError } from '../exit-codes.ts';
import { argument, collect, does, examples, NoOptions, type Register } from './define.ts';
import { parseTime } from './parse.ts';
import { unknownIn } from './token-scope.ts';

export const registerToken: Register = (program, contextOf) => {
  const token = program.command('token').description('API tokens of people and machines');

  const create = token
    .command('create')
    .description('a new token, shown once')
    .argument('[name]', 'who or what it is for')
    .option('--name <name>', 'the same')
    .requiredOption('--role <role>', Role.options.join(', '))
    .option('--app <app>', 'only this app and its tenants; may be given several times', collect)
    .option('--pool <pool>', 'only what is in this pool; may be given several times', collect)
    .option('--tenant <tenant>', 'only this tenant; may be given several times', collect)
    .option('--ttl <time>', 'how long it can be used, such as 90d; without it, until it is revoked');
  examples(create, [
    ['berth token create --role deployer --app shop --ttl 30d --name ci', ''],
    ['berth token create support --role operator --pool eu-1 --ttl 90d', ''],
    ['berth token create screens --role viewer --json | jq -r .token', ''],
  ]);
  does(create, contextOf, CreateOptions, async (context, args, options) => {
    const role = Role.safeParse(options.role);
    if (!role.success)
      throw new UsageError(
        `--role must be one of ${Role.options.join(', ')}, not ${JSON.stringify(options.role)}.`,
        'A viewer looks, a deployer rolls out its apps, an operator also changes tenants, an admin does everything.',
      );
    const scope = scopeOf(options);
    const fault = scopeFault(role.data, scope);
    if (fault !== null) throw new UsageError(fault, 'Name its apps: --app shop');
    const body = {
      name: nameOf(args, options.name),
      role: role.data,
      scope,
      ...(options.ttl === undefined ? {} : { ttlMs: parseTime(options.ttl, '--ttl') }),
    };
    const made = await context.api().createToken({ body }, context.signal);
    context.output.json(made);
    context.output.print(made.token);
    for (const missing of await unknownIn(context, scope))
      context.output.note(
        context.output.errorStyle.yellow(
          `warning: There is no ${missing} yet; until there is one, the token reaches nothing by that name.`,
        ),
      );
    if (context.output.format === 'human') {
      const until =
        made.expiresAt === null ? 'until it is revoked' : `until ${timestamp(made.expiresAt)} UTC`;
      context.output.note(
        `${made.role} token ${made.id} for ${made.name}: ${scopeText(made.scope)}, ${until}. It is not shown again.`,
      );
    }
  });

  does(
    token.command('list').description('all tokens, without their secrets'),
    contextOf,
    NoOptions,
    async (context) => {
      const { output, clock } = context;
      const list = await context.api().listTokens({}, context.signal);
      output.json(list);
      const rows = list.items.map((one) => [
        one.id,
        clean(one.name),
        one.role,
        scopeText(one.scope),
        ago(one.lastUsedAt, clock.now()),
        one.expiresAt === null ? 'never' : minute(one.expiresAt),
      ]);
      output.print(table(['ID', 'NAME', 'ROLE', 'SCOPE', 'LAST USED', 'EXPIRES'], rows, output.style));
    },
  );

  const exchange = token
    .command('exchange')
    .description('a short-lived deployer token for an identity token of a CI job, which a trust rule lets in')
    .option('--github-oidc', 'ask GitHub Actions for the identity token; without it, it is read from stdin')
    .option('--audience <text>', 'with --github-oidc: what the trust rule names; without it, the address');
  does(exchange, contextOf, ExchangeOptions, async (context, _args, options) => {
    const { url } = context.connection();
    const made =
      options.githubOidc === undefined
        ? await exchangeGiven(context, url)
        : await exchangeAsJob(context, url, options.audience);
    context.output.json(made);
    context.output.print(made.token);
    if (context.output.format === 'human')
      context.output.note(
        `deployer token ${made.id} of ${made.name}: ${made.apps.join(', ')}, until ${timestamp(made.expiresAt)} UTC.`,
      );
  });

  const revoke = token
    .command('revoke')
    .description('end a token at once')
    .argument('<id>')
    .option('-y, --yes', 'do not ask');
  does(revoke, contextOf, z.object({ yes: z.boolean().default(false) }), async (context, args, options) => {
    const id = argument(args, 0);
    if (!/^[a-z]{1,4}_[a-z0-9]{1,40}$/.test(id))
      throw new UsageError(`${id} is not the id of a token.`, 'The ids are in: berth token list');
    const answer = await confirm(
      context,
      `Revoke the token ${id}? Whoever uses it is shut out at once.`,
      options.yes,
    );
    if (answer === 'no') {
      context.output.print('Nothing was changed.');
      return;
    }
    const done = await context.api().revokeToken({ params: { id } }, context.signal);
    context.output.json({ id, ...done });
    context.output.print(`${id} is revoked`);
  });
};

/** The identity token comes on stdin. */
async function exchangeGiven(context: Context, url: string): Promise<z.infer<typeof ExchangedToken>> {
  const token = (await readStdin(context, 'an identity token', 16_384)).trim();
  if (token === '') throw new UsageError('No identity token came on stdin.');
  return await createClient({ url }).exchangeToken({ body: { token } }, context.signal);
}

const ExchangeOptions = z.object({ githubOidc: z.literal(true).optional(), audience: z.string().optional() });

const CreateOptions = z.object({
  name: z.string().optional(),
  role: z.string(),
  app: z.array(z.string()).default([]),
  pool: z.array(z.string()).default([]),
  tenant: z.array(z.string()).default([]),
  ttl: z.string().optional(),
});

function scopeOf(given: z.output<typeof CreateOptions>): AccessScope {
  const scope = AccessScope.safeParse({ apps: given.app, pools: given.pool, tenants: given.tenant });
  if (scope.success) return scope.data;
  throw new UsageError(`${scope.error.issues[0]?.message ?? 'The scope is not right'}.`);
}

function nameOf(args: readonly string[], named: string | undefined): string {
  const given = args[0];
  if (given !== undefined && named !== undefined)
    throw new UsageError('Give the name once: as an argument or with --name.');
  const name = given ?? named;
  if (name === undefined) throw new UsageError('Say who or what the token is for: --name ci');
  return name;
}
