import { z } from 'zod';
import { DatabaseServerName } from '../../domain/database.ts';
import * as d from '../databases.ts';
import { defineRoute } from '../route.ts';
import { done, tenant } from './parts.ts';

const server = z.object({ server: DatabaseServerName });

/** Servers for tenants' databases, and what tenants left on them. Their addresses go in and are never shown. */
export const databasesRoutes = {
  listDatabaseServers: defineRoute({
    method: 'GET',
    path: '/database-servers',
    summary: 'All database servers',
    access: 'admin',
    on: 'coordinator',
    status: 200,
    response: z.object({ items: z.array(d.DatabaseServerShown) }),
  }),
  showDatabaseServer: defineRoute({
    method: 'GET',
    path: '/database-servers/{server}',
    summary: 'One database server, and what tenants have on it',
    access: 'admin',
    on: 'coordinator',
    status: 200,
    params: server,
    response: d.DatabaseServerDetail,
  }),
  setDatabaseServer: defineRoute({
    method: 'PUT',
    path: '/database-servers/{server}',
    summary: 'Register a database server, or give its address anew; it is connected to first',
    access: 'admin',
    on: 'coordinator',
    status: 200,
    params: server,
    body: d.SetDatabaseServer,
    response: d.DatabaseServerCheck,
  }),
  checkDatabaseServer: defineRoute({
    method: 'GET',
    path: '/database-servers/{server}/check',
    summary: 'Connect to a database server and say what is found',
    access: 'admin',
    on: 'coordinator',
    status: 200,
    params: server,
    response: d.DatabaseServerCheck,
  }),
  removeDatabaseServer: defineRoute({
    method: 'DELETE',
    path: '/database-servers/{server}',
    summary:
      'Forget a database server that holds nothing any more, or what deleted tenants left on it as well',
    access: 'admin',
    on: 'coordinator',
    status: 200,
    params: server,
    /** `forget`: what deleted tenants left stays on the server, and nobody here knows of it any more. */
    query: z.object({ left: z.enum(['refuse', 'forget']).default('refuse') }),
    response: done,
  }),
  dropTenantDatabase: defineRoute({
    method: 'DELETE',
    path: '/tenant-databases/{tenant}',
    summary: 'Delete the data and the role that a deleted tenant left, for good',
    access: 'admin',
    on: 'coordinator',
    status: 200,
    params: tenant,
    response: d.TenantDatabase,
  }),
} as const;
