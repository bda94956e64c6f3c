import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { renderTenant } from '../../src/compose/render.ts';
import { ENV_FILES, findingsOf, fixture, fixtureNames, specOf, templateOf } from './support.ts';

describe('compose files as they are found in the wild', () => {
  it.each(fixtureNames())('%s runs or is refused with exactly the findings written beside it', (name) => {
    const expected = readFileSync(
      new URL(`./fixtures/${name.replace('.yaml', '.findings')}`, import.meta.url),
      'utf8',
    );
    expect(findingsOf(name)).toBe(expected);
  });

  it.each(fixtureNames().filter((name) => findingsOf(name).startsWith('runs')))(
    '%s renders once its variables are given',
    (name) => {
      const template = templateOf(fixture(name), ENV_FILES);
      const variables = Object.fromEntries(
        template.variables.filter((one) => one.default === undefined).map((one) => [one.name, 'value']),
      );
      const result = renderTenant(template, variables);
      expect(
        result.ok ? result.spec.services.map((service) => service.name).toSorted() : result.errors,
      ).toEqual(template.services.toSorted());
    },
  );

  it('names the required variables of a file and who uses them', () => {
    expect(templateOf(fixture('keycloak.yaml')).variables).toEqual([
      { name: 'BERTH_DOMAIN', required: false, services: ['keycloak'] },
      { name: 'KC_DB_PASSWORD', required: true, services: ['keycloak', 'postgres'] },
      { name: 'KC_MEMORY', required: false, default: '1g', services: ['keycloak'] },
      { name: 'KC_VERSION', required: false, default: '25.0', services: ['keycloak'] },
    ]);
  });

  it('gives Django and Celery one image, their own commands, an order to start in and a job that runs once', () => {
    const spec = specOf(
      fixture('django-celery.yaml'),
      { TAG: '7', POSTGRES_PASSWORD: 'p', SECRET_KEY: 's$1' },
      ENV_FILES,
    );
    expect(spec.services.map((service) => [service.name, service.strategy, service.restart])).toEqual([
      ['postgres', 'in-place', 'always'],
      ['migrate', 'blue-green', 'no'],
      ['redis', 'blue-green', 'always'],
      ['web', 'blue-green', 'always'],
      ['worker', 'blue-green', 'always'],
      ['beat', 'recreate', 'always'],
    ]);
    const web = spec.services.find((service) => service.name === 'web');
    expect(web?.image).toBe('registry.example.com/crm/backend:7');
    expect(web?.command).toEqual([
      'gunicorn',
      'crm.wsgi:application',
      '--bind',
      '0.0.0.0:8000',
      '--workers',
      '3',
    ]);
    expect(web?.environment).toEqual({ DJANGO_SETTINGS_MODULE: 'crm.settings', SECRET_KEY: 's$1' });
    expect(web?.healthcheck?.test).toEqual([
      'CMD-SHELL',
      'curl -fsS http://localhost:8000/healthz || exit 1',
    ]);
    expect(web?.dependsOn.map((one) => `${one.service} ${one.condition}`)).toEqual([
      'redis started',
      'postgres healthy',
      'migrate completed',
    ]);
    const worker = spec.services.find((service) => service.name === 'worker');
    expect([worker?.stopGraceMs, worker?.replicas]).toEqual([90_000, 2]);
    const redis = spec.services.find((service) => service.name === 'redis');
    expect(redis?.tmpfs).toEqual([{ target: '/data', sizeBytes: 64 * 1024 ** 2, mode: '1777' }]);
    expect(spec.volumes).toEqual(['pgdata']);
  });

  it('gives the corrected blog a route, its volumes and the profile of the whole file', () => {
    const spec = specOf(fixture('wordpress-berth.yaml'), { DB_PASSWORD: 'secret' });
    const blog = spec.services.find((service) => service.name === 'wordpress');
    expect(blog?.route).toEqual({ port: 80, path: '/', health: '/wp-login.php' });
    expect(blog?.environment['WORDPRESS_DB_PASSWORD']).toBe('secret');
    expect(spec.services.map((service) => service.profile)).toEqual(['compatible', 'compatible']);
    expect(spec.services[0]?.command).toEqual(['--max-connections=200', '--innodb-buffer-pool-size=128M']);
    expect(spec.services[0]?.limits.memoryBytes).toBe(768 * 1024 ** 2);
  });

  it('reads Rails with merge keys, limits and a release command', () => {
    const spec = specOf(fixture('rails-sidekiq.yaml'), {
      RELEASE: 'v9',
      DATABASE_URL: 'postgres://db',
      SECRET_KEY_BASE: 'k',
    });
    const rails = spec.services.find((service) => service.name === 'web');
    expect(rails?.environment).toEqual({
      ROLE: 'web',
      RAILS_ENV: 'production',
      RAILS_LOG_TO_STDOUT: 'true',
      WEB_CONCURRENCY: '2',
      REDIS_URL: 'redis://redis:6379/0',
      DATABASE_URL: 'postgres://db',
      SECRET_KEY_BASE: 'k',
    });
    expect(rails?.limits).toEqual({ memoryBytes: 1024 ** 3, cpus: 1.5, pids: 512 });
    expect(rails?.reservation).toEqual({ memoryBytes: 512 * 1024 ** 2, cpus: 0.25 });
    expect(rails?.command).toEqual(['bundle', 'exec', 'puma', '-C', 'config/puma.rb']);
    expect(rails?.ulimits).toEqual({
      nofile: { soft: 65_536, hard: 65_536 },
      nproc: { soft: 4096, hard: 4096 },
    });
    expect(spec.release).toEqual({
      service: 'web',
      command: ['bin/rails', 'db:migrate'],
      timeoutMs: 1_200_000,
    });
    expect(spec.bakeMs).toBe(120_000);
    const redis = spec.services.find((service) => service.name === 'redis');
    expect(redis?.command).toEqual(['redis-server', '--save', '', '--appendonly', 'no']);
  });

  it('leaves doubled dollars to the shell of the container', () => {
    const spec = specOf(fixture('keycloak.yaml'), { KC_DB_PASSWORD: 'p', BERTH_DOMAIN: 'id.example.com' });
    expect(spec.services[0]?.healthcheck?.test).toEqual([
      'CMD-SHELL',
      'pg_isready -U ${POSTGRES_USER} -d $POSTGRES_DB',
    ]);
  });
});
