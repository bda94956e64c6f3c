import { z } from 'zod';
import { confirm } from '../output/ask.ts';
import { ago, timestamp } from '../output/format.ts';
import { clean } from '../output/style.ts';
import { table } from '../output/table.ts';
import { Role } from '@berth/shared/api/schemas';
import { UsageError } from '../exit-codes.ts';
import { argument, does, examples, NoOptions, type Register } from './define.ts';
import { parseTime } from './parse.ts';

export const registerToken: Register = (program, contextOf) => {
  const token = program.command('token').description('API tokens of people and machines');

  const create = token
    .command('create')
    .description('a new token, shown once')
    .argument('<name>', 'who or what it is for')
    .requiredOption('--role <role>', Role.options.join(', '))
    .option('--ttl <time>', 'how long it can be used, such as 90d; without it, until it is revoked');
  examples(create, [
    ['berth token create ci --role operator --ttl 90d', ''],
    ['berth token create screens --role viewer --json | jq -r .token', ''],
  ]);
  does(
    create,
    contextOf,
    z.object({ role: z.string(), ttl: z.string().optional() }),
    async (context, args, options) => {
      const role = Role.safeParse(options.role);
      if (!role.success) throw new UsageError(`--role must be one of ${Role.options.join(', ')}.`);
      const body = {
        name: argument(args, 0),
        role: role.data,
        ...(options.ttl === undefined ? {} : { ttlMs: parseTime(options.ttl, '--ttl') }),
      };
      const made = await context.api().createToken({ body }, context.signal);
      context.output.json(made);
      context.output.print(made.token);
      if (context.output.format === 'human') {
        const until =
          made.expiresAt === null ? 'until it is revoked' : `until ${timestamp(made.expiresAt)} UTC`;
        context.output.note(
          `${made.role} token ${made.id} for ${made.name}, ${until}. It is not shown again.`,
        );
      }
    },
  );

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
        ago(one.lastUsedAt, clock.now()),
        one.expiresAt === null ? 'never' : timestamp(one.expiresAt),
      ]);
      output.print(table(['ID', 'NAME', 'ROLE', 'LAST USED', 'EXPIRES'], rows, output.style));
    },
  );

  const revoke = token
    .command('revoke')
    .description('end a token at once')
    .argument('<id>')
    .option('-y, --yes', 'do not ask');
  does(revoke, contextOf, z.object({ yes: z.boolean().default(false) }), async (context, args, options) => {
    const id = argument(args, 0);
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
