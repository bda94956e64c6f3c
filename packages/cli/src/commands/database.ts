import { resolve } from 'node:path';
import { DatabaseServerName } from '@berth/shared/domain/database';
import { z } from 'zod';
import type { Context } from '../context.ts';
import { UsageError } from '../exit-codes.ts';
import { confirm } from '../output/ask.ts';
import { ago, timestamp } from '../output/format.ts';
import { clean } from '../output/style.ts';
import { fields, table } from '../output/table.ts';
import { requirePrivateFile } from '../private-file.ts';
import { readSecret } from '../read-secret.ts';
import { databaseText, printCheck } from './database-view.ts';
import { argument, does, examples, GlobalOptions, NoOptions, type Register } from './define.ts';

const AddOptions = z.object({
  urlFile: z.string().optional(),
  replace: z.boolean().default(false),
  default: z.boolean().default(false),
});
const Asked = z.object({ yes: z.boolean().default(false), forgetLeft: z.boolean().default(false) });

/** PostgreSQL servers for tenants' databases. */
export const registerDatabase: Register = (program, contextOf) => {
  const database = program.command('database').description("PostgreSQL servers for tenants' databases");

  const add = database
    .command('add')
    .description('register a server; its address is asked for, or comes on stdin (--url -) or in a file')
    .argument('<server>')
    .option('--url-file <file>', 'the address is in this file, which only you can read')
    .option('--replace', 'give the address of a server anew: another user, password or TLS')
    .option('--default', 'apps that name no server get this one');
  examples(add, [
    ['berth database add main', 'asks for the address, without showing it'],
    ['pass rds-admin | berth database add main --url -', ''],
    ['berth database add main --url-file rds.url', ''],
  ]);
  add.action(async () => {
    const globals = GlobalOptions.parse(add.optsWithGlobals());
    const { url, ...others } = globals;
    // --url is the coordinator's everywhere; `-` can only mean the address that is to come on stdin.
    const context = contextOf(url === '-' ? others : globals);
    if (url !== undefined && /^postgres(ql)?:/i.test(url))
      throw new UsageError(
        'An address on the command line can be read by everybody on this machine, and is in the history of your shell.',
        'Leave it out to be asked, pipe it in with --url -, or name a file with --url-file. If it was a real one, change its password.',
      );
    const given = AddOptions.parse(add.opts());
    const server = serverName(argument(add.args, 0));
    const body = {
      url: await readAddress(context, server, given.urlFile),
      replace: given.replace,
      default: given.default,
    };
    const done = await context.api().setDatabaseServer({ params: { server }, body }, context.signal);
    context.output.json(done);
    printCheck(context.output, done);
    context.output.print(
      `\nIts address is sealed. An app asks for databases with x-berth.database: { engine: postgres }.`,
    );
  });

  does(database.command('list').description('all servers'), contextOf, NoOptions, async (context) => {
    const { output } = context;
    const { items } = await context.api().listDatabaseServers({}, context.signal);
    output.json({ items });
    const rows = items.map((one) => [
      `${one.server}${one.standing === 'default' ? ' (default)' : ''}`,
      clean(`${one.host}:${one.port}`),
      `PostgreSQL ${clean(one.version)}`,
      one.sslmode,
      String(one.tenants),
      one.leftBehind === 0 ? '0' : output.style.yellow(String(one.leftBehind)),
    ]);
    output.print(
      rows.length === 0
        ? 'No database server yet. Add one: berth database add main --url -'
        : table(['SERVER', 'ADDRESS', 'VERSION', 'TLS', 'TENANTS', 'LEFT'], rows, output.style),
    );
  });

  const show = database
    .command('show')
    .description('one server, what tenants have on it, and what deleted ones left')
    .argument('<server>');
  does(show, contextOf, NoOptions, async (context, args) => {
    const { output, clock } = context;
    const params = { server: serverName(argument(args, 0)) };
    const one = await context.api().showDatabaseServer({ params }, context.signal);
    output.json(one);
    output.print(
      fields(
        [
          ['server', output.style.bold(one.server)],
          ['address', clean(`${one.host}:${one.port}, database ${one.database}, user ${one.user}`)],
          ['tls', one.sslmode],
          ['version', `PostgreSQL ${clean(one.version)}`],
          ['default', one.standing === 'default' ? 'yes' : 'no'],
          ['tenants', String(one.tenants)],
          ['left behind', String(one.leftBehind)],
          ['added', timestamp(one.createdAt)],
          ['address given', ago(one.checkedAt, clock.now())],
        ],
        output.style,
      ),
    );
    const rows = one.databases.map((each) => [each.tenant, each.app, databaseText(each)]);
    if (rows.length > 0) output.print(`\n${table(['TENANT', 'APP', 'DATABASE'], rows, output.style)}`);
    if (one.left.length === 0) return;
    const left = one.left.map((each) => [each.tenant, each.app, databaseText(each)]);
    output.print(
      `\nLeft by tenants that were deleted, or never came to be:\n${table(['TENANT', 'APP', 'DATABASE'], left, output.style)}`,
    );
    output.print(`To delete one for good: berth database drop-tenant ${one.left[0]?.tenant ?? 'TENANT'}`);
  });

  const check = database
    .command('check')
    .description('connect to a server and say what is found')
    .argument('<server>');
  does(check, contextOf, NoOptions, async (context, args) => {
    const params = { server: serverName(argument(args, 0)) };
    const one = await context.api().checkDatabaseServer({ params }, context.signal);
    context.output.json(one);
    printCheck(context.output, one);
  });

  const remove = database
    .command('remove')
    .description('forget a server that holds nothing any more')
    .argument('<server>')
    .option('--forget-left', 'also what deleted tenants left on it, such as when the server is gone')
    .option('-y, --yes', 'do not ask');
  does(remove, contextOf, Asked, async (context, args, { yes, forgetLeft }) => {
    const params = { server: serverName(argument(args, 0)) };
    if ((await confirm(context, `Forget database server ${params.server}?`, yes)) === 'no') {
      context.output.print('Nothing was changed.');
      return;
    }
    const done = await context
      .api()
      .removeDatabaseServer({ params, query: { left: forgetLeft ? 'forget' : 'refuse' } }, context.signal);
    context.output.json({ ...params, ...done });
    context.output.print(
      `${params.server} is forgotten, and its address with it. The server itself is as it was.`,
    );
  });

  const drop = database
    .command('drop-tenant')
    .description('delete for good the data and the role that a deleted tenant left')
    .argument('<tenant>')
    .option('--yes-delete', 'do not ask');
  examples(drop, [
    ['berth database drop-tenant acme', 'the tenant is deleted already; this deletes its data'],
  ]);
  const DropOptions = z.object({ yesDelete: z.boolean().default(false) });
  does(drop, contextOf, DropOptions, async (context, args, { yesDelete }) => {
    const params = { tenant: argument(args, 0) };
    if (!yesDelete && context.stdin.isTTY !== true)
      throw new UsageError(
        'Nobody can be asked here.',
        'Say --yes-delete to delete the data without a question.',
      );
    const question = `Delete all data that tenant ${params.tenant} left in its database? They cannot be brought back.`;
    if ((await confirm(context, question, yesDelete)) === 'no') {
      context.output.print('Nothing was changed.');
      return;
    }
    const gone = await context.api().dropTenantDatabase({ params }, context.signal);
    context.output.json(gone);
    context.output.print(
      `${gone.schema === null ? `Database ${clean(gone.database)}` : `Schema ${clean(gone.schema)} in ${clean(gone.database)}`} and role ${clean(gone.role)} are gone from ${gone.server}.`,
    );
  });
};

function serverName(text: string): string {
  const name = DatabaseServerName.safeParse(text);
  if (name.success) return name.data;
  throw new UsageError(`${text}: ${name.error.issues[0]?.message ?? 'not the name of a database server'}.`);
}

/** Typed without echo, from stdin, or from a file that is nobody else's. */
async function readAddress(context: Context, server: string, file: string | undefined): Promise<string> {
  if (file !== undefined)
    requirePrivateFile(
      resolve(context.cwd, file),
      file,
      "an administrator's password",
      'change the password at the server',
    );
  const read = await readSecret(context, `the address of ${server}`, { file });
  return read.kind === 'value' ? Buffer.from(read.value, 'base64').toString('utf8').trim() : '';
}
