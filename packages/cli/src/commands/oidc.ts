import { AddTrust, GITHUB_ISSUER, type Trust } from '@berth/shared/api/oidc';
import { z } from 'zod';
import { confirm } from '../output/ask.ts';
import { clean } from '../output/style.ts';
import { table } from '../output/table.ts';
import { UsageError } from '../exit-codes.ts';
import { argument, collect, does, examples, NoOptions, type Register } from './define.ts';
import { parseTime } from './parse.ts';

const AddOptions = z.object({
  issuer: z.string(),
  audience: z.string(),
  repository: z.string(),
  repositoryId: z.string().optional(),
  ref: z.string(),
  environment: z.string().optional(),
  app: z.array(z.string()),
  ttl: z.string().optional(),
});

export const registerOidc: Register = (program, contextOf) => {
  const trust = program
    .command('oidc')
    .description('CI without stored secrets')
    .command('trust')
    .description('which repositories may deploy what');

  const add = trust
    .command('add')
    .description('let jobs of a repository exchange their identity token for a short-lived deployer token')
    .option('--issuer <url>', 'who vouches for the jobs', GITHUB_ISSUER)
    .requiredOption(
      '--audience <text>',
      'what the jobs ask for a token for, such as the address of this coordinator',
    )
    .requiredOption(
      '--repository <owner/name>',
      "the repository; a '*' may stand in its name, never in its owner's",
    )
    .option('--repository-id <number>', 'its number, which no other repository ever gets')
    .requiredOption('--ref <ref>', "such as refs/heads/main or refs/tags/v*; a '*' never stands for a '/'")
    .option('--environment <name>', 'the deployment environment that the job must run in')
    .requiredOption('--app <app>', 'what it may deploy; may be given several times', collect)
    .option('--ttl <time>', 'how long the deployer token is good for, 1h at most (15m)');
  examples(add, [
    [
      'berth oidc trust add --audience https://berth.example.com --repository example/shop --ref refs/heads/main --app shop',
      '',
    ],
  ]);
  does(add, contextOf, AddOptions, async (context, _args, { app, ttl, ...rest }) => {
    const given = { ...rest, apps: app, ...(ttl === undefined ? {} : { ttlMs: parseTime(ttl, '--ttl') }) };
    const checked = AddTrust.safeParse(given);
    if (!checked.success) {
      const [issue] = checked.error.issues;
      throw new UsageError(`${issue?.path.join('.') ?? 'The rule'}: ${issue?.message ?? 'not right'}.`);
    }
    const rule = await context.api().addTrust({ body: checked.data }, context.signal);
    context.output.json(rule);
    context.output.print(
      `${rule.id}: jobs of ${rule.repository} at ${rule.ref} may deploy ${rule.apps.join(', ')} for ${minutes(rule)}.`,
    );
  });

  does(trust.command('list').description('all rules'), contextOf, NoOptions, async (context) => {
    const { output } = context;
    const list = await context.api().listTrust({}, context.signal);
    output.json(list);
    const rows = list.items.map((rule) => [
      rule.id,
      clean(rule.repository),
      clean(rule.ref),
      clean(rule.environment ?? ''),
      rule.apps.join(' '),
      minutes(rule),
      clean(rule.audience),
      clean(rule.issuer),
    ]);
    output.print(
      rows.length === 0
        ? 'No repository is trusted yet. Add one: berth oidc trust add --help'
        : table(
            ['ID', 'REPOSITORY', 'REF', 'ENVIRONMENT', 'APPS', 'FOR', 'AUDIENCE', 'ISSUER'],
            rows,
            output.style,
          ),
    );
  });

  const remove = trust
    .command('remove')
    .description('trust it no longer')
    .argument('<id>')
    .option('-y, --yes', 'do not ask');
  does(remove, contextOf, z.object({ yes: z.boolean().default(false) }), async (context, args, options) => {
    const id = argument(args, 0);
    if ((await confirm(context, `Remove the rule ${id}?`, options.yes)) === 'no') {
      context.output.print('Nothing was changed.');
      return;
    }
    const done = await context.api().removeTrust({ params: { id } }, context.signal);
    context.output.json({ id, ...done });
    context.output.print(`${id} is removed. Tokens that were given out by it run out within the hour.`);
  });
};

const minutes = (rule: Trust): string => `${Math.round(rule.ttlMs / 60_000)}m`;
