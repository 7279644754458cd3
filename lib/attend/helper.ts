/** A thread that attends beside the one that computes all else. @module */
import { Attender, type AttenderSetup } from "./attender.ts";
import { StepPlan } from "./step_plan.ts";

/** What the thread is told, once. */
export interface HelperStart {
  readonly setup: AttenderSetup;
  readonly thread: number;
}

declare const self: {
  onmessage: ((event: MessageEvent<HelperStart>) => void) | null;
  postMessage(message: null): void;
};

self.onmessage = ({ data: { setup, thread } }) => {
  const plan = new StepPlan(setup.plan);
  const attender = new Attender(setup, thread);
  for (let round: number | null = 0; (round = plan.wait(round)) !== null;) {
    try {
      attender.work();
    } catch (error) {
      console.error("A thread cannot attend:", error); // the step fails by the plan
    }
  }
  self.postMessage(null);
};
