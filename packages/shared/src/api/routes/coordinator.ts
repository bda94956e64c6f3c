import { defineRoute } from '../route.ts';
import * as s from '../schemas.ts';

/** The coordinator itself. */
export const coordinatorRoutes = {
  status: defineRoute({
    method: 'GET',
    path: '/status',
    summary: 'The coordinator at a glance',
    access: 'viewer',
    on: 'listed',
    status: 200,
    response: s.CoordinatorStatus,
  }),
  confirmEpoch: defineRoute({
    method: 'POST',
    path: '/epoch/confirm',
    summary: 'Leave observe-only mode after a restore',
    access: 'admin',
    on: 'coordinator',
    status: 200,
    response: s.CoordinatorStatus,
  }),
} as const;
