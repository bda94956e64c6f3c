import { describe, expect, test } from 'vitest';
import {
  ecrRegionOf,
  registryFor,
  RegistryConfigs,
  speaksPlainHttp,
  type RegistryConfig,
} from '../../src/registry/config.ts';

const ECR = '123456789012.dkr.ecr.eu-west-1.amazonaws.com';

describe('the registries of a configuration', () => {
  test('are anonymous, with a password, or ECR', () => {
    expect(
      RegistryConfigs.parse([
        { host: 'r.example', username: 'ci', passwordFile: '/run/p' },
        { host: '10.0.0.1:5000', insecure: true },
        { host: '*.dkr.ecr.*.amazonaws.com', kind: 'ecr' },
      ]).map(({ kind }) => kind),
    ).toEqual(['password', 'anonymous', 'ecr']);
    expect(RegistryConfigs.parse(undefined)).toEqual([]);
  });

  test.each([
    [[{ host: 'https://r.example' }], /without scheme or path/],
    [[{ host: 'r.example', username: 'ci' }], /passwordFile/],
    [[{ host: 'r.example', username: 'ci', passwordFile: 'p', password: 'x' }], /password/],
    [[{ host: 'r.example', kind: 'gcr' }], /kind/],
  ])('%j is refused by the field', (given, message) => {
    const parsed = RegistryConfigs.safeParse(given);
    expect(parsed.success).toBe(false);
    expect(JSON.stringify(parsed.error?.issues)).toMatch(message);
  });

  test('are found by an exact name or by labels, the first that fits', () => {
    const configs: RegistryConfig[] = [
      { kind: 'anonymous', host: ECR },
      { kind: 'ecr', host: '*.dkr.ecr.*.amazonaws.com' },
    ];
    expect(registryFor(configs, ECR)?.kind).toBe('anonymous');
    expect(registryFor(configs, `9${ECR}`)?.kind).toBe('ecr');
    expect(registryFor(configs, `x.${ECR}`)).toBeNull();
    expect(registryFor(configs, 'evil.dkr.ecr.eu-west-1.amazonaws.com.evil.example')).toBeNull();
    expect(registryFor(configs, 'docker.io')).toBeNull();
  });

  test('tell the region by the name of an ECR registry', () => {
    expect(ecrRegionOf(ECR)).toBe('eu-west-1');
    expect(ecrRegionOf('123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn')).toBe('cn-north-1');
    expect(ecrRegionOf('123456789012.dkr-ecr.us-east-1.on.aws')).toBe('us-east-1');
    expect(ecrRegionOf('registry.example.com')).toBeNull();
  });

  test('are spoken to in plain HTTP on loopback only, or as the configuration says', () => {
    expect(speaksPlainHttp(null, '127.0.0.1:5000')).toBe(true);
    expect(speaksPlainHttp(null, 'localhost:5000')).toBe(true);
    expect(speaksPlainHttp(null, '127.0.0.1.example.com')).toBe(false);
    expect(speaksPlainHttp(null, 'registry.example.com')).toBe(false);
    expect(speaksPlainHttp({ kind: 'anonymous', host: 'r.example', insecure: true }, 'r.example')).toBe(true);
    expect(speaksPlainHttp({ kind: 'anonymous', host: 'localhost', insecure: false }, 'localhost')).toBe(
      false,
    );
  });
});
