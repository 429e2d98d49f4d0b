/** The short form: three of each. */
import { describe } from 'node:test'
import { testCuts, testKills, testRollingRestart } from '../support/kills-test.ts'

describe('under a publisher and its viewers', () => {
  testKills(3)
  testRollingRestart(1)
  testCuts(1)
})
