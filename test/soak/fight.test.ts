import { testFight } from '../support/fight-test.ts'

testFight(60_000)
