import { fields, table } from '../output/table.ts';
import { argument, does, examples, NoOptions, type Register } from './define.ts';
import { allPages } from './pages.ts';
import { addPoolJoin, joinFields } from './pool-join.ts';
import { addPoolSigners } from './pool-signers.ts';
import {
  addVariableOptions,
  onlyVariableChanges,
  printShared,
  VariableFlags,
  variableTable,
} from './variable-flags.ts';

export const registerPool: Register = (program, contextOf) => {
  const pool = program.command('pool').description('pools: hosts that may carry the same tenants');

  does(pool.command('list').description('all pools'), contextOf, NoOptions, async (context) => {
    const { output } = context;
    const api = context.api();
    const items = await allPages((query) => api.listPools({ query }, context.signal));
    output.json({ items });
    const rows = items.map((one) => [
      one.pool,
      String(one.hosts),
      String(one.tenants),
      one.variables.join(' '),
    ]);
    output.print(
      rows.length === 0
        ? 'No pools yet, or none that this token may see. A host joins one: berth host join-token --pool eu-1'
        : table(['POOL', 'HOSTS', 'TENANTS', 'VARIABLES'], rows, output.style),
    );
  });

  const show = pool.command('show').description('one pool and its variables').argument('<pool>');
  does(show, contextOf, NoOptions, async (context, args) => {
    const { output } = context;
    const one = await context.api().showPool({ params: { pool: argument(args, 0) } }, context.signal);
    output.json(one);
    output.print(
      fields(
        [
          ['pool', one.pool],
          ['hosts', String(one.hosts)],
          ['tenants', String(one.tenants)],
          ...(one.join === undefined ? [] : joinFields(one.join.aws, output.style)),
        ],
        output.style,
      ),
    );
    output.print(
      Object.keys(one.variables).length === 0
        ? '\nIt has no variables.'
        : `\n${variableTable(one.variables, output.style)}`,
    );
  });

  addPoolJoin(pool, contextOf);

  addPoolSigners(pool, contextOf);

  const set = addVariableOptions(
    pool
      .command('set')
      .description("change the pool's variables; each tenant takes them up with its next change")
      .argument('<pool>'),
  );
  examples(set, [['berth pool set eu-1 --var REGION=eu-central-1', '']]);
  does(set, contextOf, VariableFlags, async (context, args, given) => {
    const name = argument(args, 0);
    const variables = onlyVariableChanges(given, context.cwd);
    const input = { params: { pool: name }, body: { variables } };
    const answer = await context.api().setPool(input, context.signal);
    context.output.json(answer);
    printShared(context, name, answer);
  });
};
