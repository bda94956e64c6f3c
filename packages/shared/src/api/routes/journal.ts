import { z } from 'zod';
import * as audit from '../audit.ts';
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
    summary: 'Who changed what, newest first, or oldest first after `after`',
    access: 'admin',
    on: 'coordinator',
    status: 200,
    query: audit.AuditQuery,
    response: z.object({ items: z.array(audit.ChainedAuditRecord), head: audit.AuditHead }),
  }),
} as const;
