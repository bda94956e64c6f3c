import { z } from 'zod';
import { defineRoute } from '../route.ts';
import * as s from '../schemas.ts';

/** Events and the audit. */
export const journalRoutes = {
  listEvents: defineRoute({
    method: 'GET',
    path: '/events',
    summary: 'Events, oldest first after `after`, else the newest',
    access: 'viewer',
    on: 'listed',
    status: 200,
    query: s.EventQuery,
    response: z.object({ items: z.array(s.Event), last: z.number() }),
  }),
  listAudit: defineRoute({
    method: 'GET',
    path: '/audit',
    summary: 'Who changed what, newest first',
    access: 'admin',
    on: 'coordinator',
    status: 200,
    query: z.object({
      limit: z.coerce.number().int().min(1).max(1000).default(100),
      before: z.coerce.number().int().min(1).optional(),
    }),
    response: z.object({ items: z.array(s.AuditRecord) }),
  }),
} as const;
