import { defineRoute } from '../route.ts';
import * as rel from '../releases.ts';
import * as s from '../schemas.ts';
import { app, done, list, page } from './parts.ts';

/** Apps. */
export const appsRoutes = {
  listApps: defineRoute({
    method: 'GET',
    path: '/apps',
    summary: 'All apps',
    access: 'viewer',
    status: 200,
    query: page,
    response: list(s.App),
  }),
  showApp: defineRoute({
    method: 'GET',
    path: '/apps/{app}',
    summary: 'One app',
    access: 'viewer',
    status: 200,
    params: app,
    response: s.App,
  }),
  applyApp: defineRoute({
    method: 'PUT',
    path: '/apps/{app}',
    summary: 'Create an app or its next release from a Compose file',
    access: 'operator',
    status: 200,
    params: app,
    body: s.ApplyApp,
    response: s.AppliedApp,
  }),
  setApp: defineRoute({
    method: 'PATCH',
    path: '/apps/{app}',
    summary: "Change an app's variables; each tenant takes them up with its next change",
    access: 'operator',
    status: 200,
    params: app,
    body: rel.SetVariables,
    response: rel.AppVariables,
  }),
  deleteApp: defineRoute({
    method: 'DELETE',
    path: '/apps/{app}',
    summary: 'Remove an app that has no tenants',
    access: 'admin',
    status: 200,
    params: app,
    response: done,
  }),
  freezeApp: defineRoute({
    method: 'POST',
    path: '/apps/{app}/freeze',
    summary: 'No rollout begins a tenant until it is unfrozen',
    access: 'operator',
    status: 200,
    params: app,
    body: s.FreezeApp,
    response: s.App,
  }),
  unfreezeApp: defineRoute({
    method: 'POST',
    path: '/apps/{app}/unfreeze',
    summary: 'Rollouts may go on',
    access: 'operator',
    status: 200,
    params: app,
    response: s.App,
  }),
} as const;
