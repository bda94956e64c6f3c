import fc from 'fast-check';
import type { ServiceSpec } from '@berth/shared/domain/spec';
import { serviceSpec, webRoute } from './specs.ts';

/** Shapes of apps: what is routed, what keeps data, what must run once, who waits for whom. */
export const services = fc.record({
  replicas: fc.integer({ min: 1, max: 3 }),
  worker: fc.boolean(),
  scheduler: fc.boolean(),
  /** What the service is called that keeps the data, if any does. */
  database: fc.constantFrom('', 'db', 'store'),
  /** What the service is called that keeps data and waits for the web, so that it is recreated each time. */
  front: fc.constantFrom('', 'front', 'proxy'),
  /** More of them, each with a volume of its own, one with a route. */
  files: fc.boolean(),
  job: fc.boolean(),
  api: fc.boolean(),
  keptWeb: fc.boolean(),
});

/** The services of one version of an app of this shape. */
export function makeServices(
  shape: typeof services extends fc.Arbitrary<infer T> ? T : never,
  version: number,
  databaseVersion: number,
): ServiceSpec[] {
  const environment = { VERSION: String(version) };
  const made: ServiceSpec[] = [];
  const on = (service: string, condition: 'healthy' | 'completed' | 'started') => ({
    service,
    condition,
    required: true,
  });
  if (shape.database !== '') {
    made.push(
      serviceSpec(shape.database, {
        strategy: 'in-place',
        volumes: [{ volume: 'data', target: '/data', readOnly: false }],
        environment: { V: String(databaseVersion) },
      }),
    );
  }
  if (shape.files) {
    made.push(
      serviceSpec('files', {
        strategy: 'in-place',
        volumes: [{ volume: 'files', target: '/files', readOnly: false }],
        route: { ...webRoute, path: '/files' },
      }),
    );
  }
  if (shape.job)
    made.push(
      serviceSpec('job', {
        environment,
        dependsOn: shape.database === '' ? [] : [on(shape.database, 'healthy')],
      }),
    );
  made.push(
    serviceSpec('web', {
      environment,
      replicas: shape.keptWeb ? 1 : shape.replicas,
      strategy: shape.keptWeb ? 'in-place' : 'blue-green',
      route: webRoute,
      dependsOn: shape.job ? [on('job', 'completed')] : [],
    }),
  );
  if (shape.api) made.push(serviceSpec('api', { environment, route: { ...webRoute, path: '/api' } }));
  if (shape.front !== '')
    made.push(
      serviceSpec(shape.front, {
        strategy: 'in-place',
        volumes: [{ volume: 'cache', target: '/cache', readOnly: false }],
        dependsOn: [on('web', 'started')],
      }),
    );
  if (shape.worker) made.push(serviceSpec('worker', { environment, dependsOn: [on('web', 'healthy')] }));
  if (shape.scheduler) made.push(serviceSpec('scheduler', { environment, strategy: 'recreate' }));
  return made;
}
