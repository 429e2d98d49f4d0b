/** The short form; the long one is in test/soak. */
import { describe } from 'node:test'
import { testCuts, testKills } from '../support/kills-test.ts'

describe('under a publisher and its viewers', () => {
  testKills(2, 1)
  testCuts(1)
})
