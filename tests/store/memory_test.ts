import { memory } from "./_turns.ts";
import { storeContract } from "./contract.ts";

storeContract("in memory", memory);
