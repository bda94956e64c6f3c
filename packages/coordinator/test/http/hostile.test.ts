import { describe } from 'vitest';
import { testCoordinator } from '../support/coordinator.ts';
import { hostileTexts } from '../support/hostile.ts';

describe('a hostile text', () => hostileTexts(() => testCoordinator()));
