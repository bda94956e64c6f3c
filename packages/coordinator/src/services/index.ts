import { createAccess, type Access } from './access.ts';
import { createApps, type Apps } from './apps.ts';
import type { ServiceContext } from './context.ts';
import { createHosts, type Hosts } from './hosts.ts';
import { createReleases, type Releases } from './releases.ts';
import { createStatus, type Status } from './status.ts';
import { TemplateCache } from './templates.ts';
import { createTenantQuestions, type TenantQuestions } from './tenant-questions.ts';
import { createTenants, type Tenants } from './tenants.ts';

export interface Services {
  apps: Apps;
  releases: Releases;
  tenants: Tenants;
  questions: TenantQuestions;
  hosts: Hosts;
  access: Access;
  status: Status;
}

/** The rules of the coordinator over one store and one fleet. */
export function createServices(
  context: ServiceContext,
  about: { version: string; startedAt: number },
): Services {
  const templates = new TemplateCache();
  return {
    apps: createApps(context),
    releases: createReleases(context, templates),
    tenants: createTenants(context, templates),
    questions: createTenantQuestions(context, templates),
    hosts: createHosts(context),
    access: createAccess(context),
    status: createStatus(context, about),
  };
}
