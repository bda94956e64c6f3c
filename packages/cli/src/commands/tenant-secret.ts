import type { SecretShown } from '@berth/shared/api/secrets';
import { whoText } from '@berth/shared/domain/actor';
import type { Command } from 'commander';
import { z } from 'zod';
import type { Context } from '../context.ts';
import { confirm } from '../output/ask.ts';
import { UsageError } from '../exit-codes.ts';
import { ago } from '../output/format.ts';
import { clean } from '../output/style.ts';
import { table } from '../output/table.ts';
import { readSecret, secretName } from '../read-secret.ts';
import { argument, does, examples, NoOptions, type ContextOf } from './define.ts';
import { followChange } from './deploy.ts';
import { addWaitOptions, WaitFlags } from './wait-options.ts';

export function registerTenantSecret(tenant: Command, contextOf: ContextOf): void {
  const secret = tenant.command('secret').description("a tenant's secrets: set, list, remove; never shown");

  const set = secret
    .command('set')
    .description('a new version, from a prompt or stdin; applied by the next change, or with --apply')
    .argument('<tenant>')
    .argument('<name>')
    // A third one would be a value: refused below, without being said again.
    .allowExcessArguments()
    .option('--file <file>', 'the value is in this file, byte by byte')
    .option('--from <reference>', 'where its value is: aws-secretsmanager:ARN[#key][@stage] or aws-ssm:/path')
    .option('--despite-lost-keys', 'also while a key of older secrets is missing: it is lost for good')
    .option('--apply', 'move the tenant to it now');
  addWaitOptions(set);
  examples(set, [
    ['berth tenant secret set acme STRIPE_KEY', 'asks for it, without showing it'],
    ['pass stripe | berth tenant secret set acme STRIPE_KEY --apply', ''],
    ['berth tenant secret set acme TLS_KEY --file key.pem', ''],
    ['berth tenant secret set acme DB --from aws-ssm:/prod/acme/db', 'the host asks AWS for it'],
  ]);
  const flags = WaitFlags.extend({
    file: z.string().optional(),
    from: z.string().optional(),
    despiteLostKeys: z.boolean().default(false),
    apply: z.boolean().default(false),
  });
  does(set, contextOf, flags, async (context, args, given) => {
    const name = argument(args, 0);
    const key = secretName(argument(args, 1));
    if (args.length > 2)
      throw new UsageError(
        'A value on the command line can be read by everybody on this machine, and is in the history of your shell.',
        'Leave it out to be asked, pipe it in, or name a file with --file.',
      );
    const value = await readSecret(context, key, given);
    const api = context.api();
    const params = { tenant: name };
    const body = {
      secrets: { [key]: value },
      ...(given.despiteLostKeys ? { despiteLostKeys: true } : {}),
    };
    const done = await api.setSecrets({ params, body }, context.signal);
    const version = done.secrets[0]?.version ?? 1;
    context.output.print(`${key} of ${name} has version ${version}.`);
    if (given.apply) {
      const changed = await api.changeTenant({ params, body: {} }, context.signal);
      if (changed.result === 'changed') {
        await followChange(context, changed, 'live', given);
        return;
      }
      context.output.print(
        'Nothing is deployed by it: the release of the tenant does not ask for this secret.',
      );
      context.output.json({ ...done, ...changed });
      return;
    }
    context.output.json(done);
    const [shown] = (await api.listSecrets({ params }, context.signal)).items.filter(
      (each) => each.name === key,
    );
    context.output.print(context.output.style.dim(whatNow(name, key, shown)));
  });

  const list = secret.command('list').description('names, versions, when and by whom').argument('<tenant>');
  does(list, contextOf, NoOptions, async (context, args) => {
    const tenantName = argument(args, 0);
    const { items } = await context.api().listSecrets({ params: { tenant: tenantName } }, context.signal);
    context.output.json({ items });
    context.output.print(items.length === 0 ? `${tenantName} has no secrets.` : listTable(context, items));
  });

  const remove = secret
    .command('remove')
    .description('all versions of a secret that the tenant does not use')
    .argument('<tenant>')
    .argument('<name>')
    .option('-y, --yes', 'do not ask');
  does(remove, contextOf, z.object({ yes: z.boolean().default(false) }), async (context, args, given) => {
    const params = { tenant: argument(args, 0), secret: secretName(argument(args, 1)) };
    const question = `Remove ${params.secret} of ${params.tenant} with all its versions?`;
    if ((await confirm(context, question, given.yes)) === 'no') {
      context.output.print('Nothing was changed.');
      return;
    }
    const done = await context.api().removeSecret({ params }, context.signal);
    context.output.json({ ...params, ...done });
    context.output.print(
      `${params.secret} of ${params.tenant} is gone: ${done.versions === 1 ? '1 version' : `${done.versions} versions`}.`,
    );
  });
}

function whatNow(tenant: string, name: string, shown: SecretShown | undefined): string {
  if (shown?.state === 'unused')
    return `The release that ${tenant} runs does not ask for ${name}; see "secrets" in its Compose file.`;
  return `Pending: ${tenant} takes it up with its next change, or now with: berth tenant restart ${tenant}`;
}

function by(item: SecretShown): string {
  const actor = item.versions[0]?.createdBy;
  return actor === undefined ? '-' : clean(whoText(actor));
}

function listTable({ output, clock }: Context, items: readonly SecretShown[]): string {
  const rows = items.map((item) => [
    item.name,
    String(item.version),
    item.state,
    item.services.join(', ') || '-',
    ago(item.versions[0]?.createdAt ?? null, clock.now()),
    by(item),
    item.from ?? '-',
  ]);
  return table(['NAME', 'VERSION', 'STATE', 'SERVICES', 'SET', 'BY', 'FROM'], rows, output.style);
}
