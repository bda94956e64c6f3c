import { z } from 'zod';
import { defineRoute } from '../route.ts';
import * as rel from '../releases.ts';
import * as s from '../schemas.ts';
import { app, list, page } from './parts.ts';

/** Releases of an app. */
export const releasesRoutes = {
  listReleases: defineRoute({
    method: 'GET',
    path: '/apps/{app}/releases',
    summary: 'Releases, newest first',
    access: 'viewer',
    on: 'app',
    status: 200,
    params: app,
    query: page,
    response: list(s.Release),
  }),
  createRelease: defineRoute({
    method: 'POST',
    path: '/apps/{app}/releases',
    summary: 'Make a release whose images are pinned by digest; creates the app when there is none',
    access: 'deployer',
    on: 'app',
    status: 200,
    params: app,
    body: rel.CreateRelease,
    response: rel.CreatedRelease,
  }),
  signRelease: defineRoute({
    method: 'POST',
    path: '/apps/{app}/releases/{release}/signatures',
    summary: 'Add a signature to a release',
    access: 'deployer',
    on: 'app',
    status: 200,
    params: app.extend({ release: z.coerce.number().int().min(1) }),
    body: rel.SignRelease,
    response: rel.SignedRelease,
  }),
  diffReleases: defineRoute({
    method: 'GET',
    path: '/apps/{app}/releases/{from}/diff/{to}',
    summary: 'What changes from one release to another',
    access: 'viewer',
    on: 'app',
    status: 200,
    params: app.extend({ from: z.coerce.number().int().min(1), to: z.coerce.number().int().min(1) }),
    response: rel.ReleaseDiff,
  }),
  showRelease: defineRoute({
    method: 'GET',
    path: '/apps/{app}/releases/{release}',
    summary: 'One release',
    access: 'viewer',
    on: 'app',
    status: 200,
    params: app.extend({ release: z.coerce.number().int().min(1) }),
    response: s.ReleaseDetail,
  }),
} as const;
