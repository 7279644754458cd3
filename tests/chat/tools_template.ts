/** A template that knows tools, in the manner of those of Hermes' and Qwen's models. @module */
import {
  type ChatTemplate,
  createChatTemplate,
} from "../../lib/chat/template.ts";
import { TOKENIZER } from "./scripted_decoder.ts";

/** Its source. */
export const TOOLS_SOURCE = `{%- if tools %}
  {{- '<|im_start|>system\\n' }}
  {%- if messages[0].role == 'system' %}{{- messages[0].content + '\\n' }}{%- endif %}
  {{- 'Functions:' }}
  {%- for tool in tools %}{{- '\\n' }}{{- tool | tojson }}{%- endfor %}
  {{- '<|im_end|>\\n' }}
{%- elif messages[0].role == 'system' %}
  {{- '<|im_start|>system\\n' + messages[0].content + '<|im_end|>\\n' }}
{%- endif %}
{%- for message in messages %}
  {%- if message.role == 'user' or (message.role == 'assistant' and not message.tool_calls) %}
    {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}
  {%- elif message.role == 'assistant' %}
    {{- '<|im_start|>assistant' }}
    {%- if message.content %}{{- '\\n' + message.content }}{%- endif %}
    {%- for call in message.tool_calls %}
      {%- set of = call.function %}
      {{- '\\n<tool_call>\\n{"name": "' + of.name + '", "arguments": ' }}{{- of.arguments | tojson }}{{- '}\\n</tool_call>' }}
    {%- endfor %}
    {{- '<|im_end|>\\n' }}
  {%- elif message.role == 'tool' %}
    {{- '<|im_start|>user\\n<tool_response>\\n' + message.content + '\\n</tool_response><|im_end|>\\n' }}
  {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}`;

/** The template. */
export const TOOLS_TEMPLATE: ChatTemplate = createChatTemplate(
  TOOLS_SOURCE,
  TOKENIZER,
);
