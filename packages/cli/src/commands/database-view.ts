import type { DatabaseServerCheck, TenantDatabase } from '@berth/shared/api/databases';
import type { Output } from '../output/output.ts';
import { clean } from '../output/style.ts';
import { fields } from '../output/table.ts';

/** What a tenant has, and where: `berth_t_acme on main, role berth_t_acme, 20 connections`. */
export function databaseText({
  server,
  database,
  schema,
  role,
  connections,
  state,
}: Omit<TenantDatabase, 'tenant' | 'app' | 'createdAt'>): string {
  const what = schema === null ? clean(database) : `schema ${clean(schema)} in ${clean(database)}`;
  const begun = state === 'making' ? ' (begun; the next try goes on with it)' : '';
  return `${what} on ${clean(server)}, role ${clean(role)}, ${connections} connections${begun}`;
}

export function printCheck(
  { style, print }: Pick<Output, 'style' | 'print'>,
  one: DatabaseServerCheck,
): void {
  print(
    fields(
      [
        ['server', style.bold(one.server)],
        ['version', `PostgreSQL ${clean(one.version)}`],
        ['connection', one.tls],
        ['in use', `${one.connections.used} of ${one.connections.most} connections`],
        ['may make', 'databases and roles'],
      ],
      style,
    ),
  );
  for (const note of one.notes) print(style.yellow(clean(note)));
}
