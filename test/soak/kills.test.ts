/** The long form. ROUNDS and --test-name-pattern choose. */
import { describe } from 'node:test'
import { testCuts, testKills } from '../support/kills-test.ts'

const rounds = Number(process.env.ROUNDS ?? 100)

describe('under a publisher and its viewers', () => {
  testKills(rounds, Math.ceil(rounds / 10))
  testCuts(Math.ceil(rounds / 10))
})
