import { defineRoute } from '../route.ts';
import { PoolJoin, SetPoolJoin } from '../enrolment.ts';
import * as p from '../pools.ts';
import { SetVariables } from '../releases.ts';
import { PoolSignersSet, PoolSignersShown, SetPoolSigners } from '../signers.ts';
import { list, page, pool } from './parts.ts';

/** Pools: there is one as long as a host or a tenant is in it, or it has variables. */
export const poolsRoutes = {
  listPools: defineRoute({
    method: 'GET',
    path: '/pools',
    summary: 'All pools',
    access: 'viewer',
    on: 'listed',
    status: 200,
    query: page,
    response: list(p.Pool),
  }),
  showPool: defineRoute({
    method: 'GET',
    path: '/pools/{pool}',
    summary: 'One pool and its variables',
    access: 'viewer',
    on: 'pool',
    status: 200,
    params: pool,
    response: p.PoolDetail,
  }),
  setPool: defineRoute({
    method: 'PATCH',
    path: '/pools/{pool}',
    summary: "Change a pool's variables; each tenant takes them up with its next change",
    access: 'operator',
    on: 'pool',
    status: 200,
    params: pool,
    body: SetVariables,
    response: p.PoolVariables,
  }),
  setPoolJoin: defineRoute({
    method: 'PUT',
    path: '/pools/{pool}/join',
    summary: 'Say which machines may join the pool by themselves',
    access: 'admin',
    on: 'pool',
    status: 200,
    params: pool,
    body: SetPoolJoin,
    response: PoolJoin,
  }),
  showPoolSigners: defineRoute({
    method: 'GET',
    path: '/pools/{pool}/signers',
    summary: 'Whose releases the pool runs, and which of its hosts go by that',
    access: 'viewer',
    on: 'pool',
    status: 200,
    params: pool,
    response: PoolSignersShown,
  }),
  setPoolSigners: defineRoute({
    method: 'PUT',
    path: '/pools/{pool}/signers',
    summary: 'Hand on a signed statement of whose releases the pool runs',
    access: 'admin',
    on: 'pool',
    status: 200,
    params: pool,
    body: SetPoolSigners,
    response: PoolSignersSet,
  }),
} as const;
