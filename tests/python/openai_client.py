"""PyPI's openai against a running server.

    python openai_client.py URL MODEL [NAME...]

Runs the named methods of `Checks`, by default all whose names begin with `check_`, and prints a JSON line for each:
{"name": …, "error": null or why it failed}. For those the server's keys are the ones below; it answers "hello" to
everything, and loses its first answer to a request that has the header of `LOSES`.
"""

import json
import sys
import traceback
import typing

import openai
import pydantic

KEY, SPENT = "es-ada-0123456789", "es-spent-0123456789"
LOSES = {"x-test-lose-answers": "1"}
MESSAGES = [{"role": "user", "content": "Hi"}]


class Checks:
    def __init__(self, url, model):
        self.url, self.model = f"{url}/v1", model
        self.client = self.client_of(KEY)

    def client_of(self, key, retries=0):
        return openai.OpenAI(base_url=self.url, api_key=key, max_retries=retries, timeout=60)

    def ask(self, client=None, **options):
        return (client or self.client).responses.create(model=self.model, input="Hi", temperature=0, **options)

    def error_of(self, kind, call):
        try:
            call()
        except kind as error:
            return error
        raise AssertionError(f"no {kind.__name__}")

    def items_of(self, conversation):
        return [item.id for item in self.client.conversations.items.list(conversation, order="asc")]

    def check_chat(self):
        answer = self.client.chat.completions.create(model=self.model, messages=MESSAGES, temperature=0)
        equal(answer.choices[0].message.content, "hello")
        equal(answer.choices[0].finish_reason, "stop")
        equal(answer.usage.total_tokens, answer.usage.prompt_tokens + answer.usage.completion_tokens)
        assert answer._request_id

    def check_chat_stream(self):
        stream = self.client.chat.completions.create(
            model=self.model, messages=MESSAGES, temperature=0, stream=True, logprobs=True,
            stream_options={"include_usage": True},
        )  # fmt: skip
        text, tokens, usage = "", "", None
        for chunk in stream:
            for choice in chunk.choices:
                text += choice.delta.content or ""
                if choice.logprobs:
                    tokens += "".join(token.token for token in choice.logprobs.content)
            usage = chunk.usage or usage
        equal([text, tokens], ["hello", "hello"])
        assert usage.completion_tokens > 0

    def check_chat_stream_left(self):
        with self.client.chat.completions.create(model=self.model, messages=MESSAGES, stream=True) as stream:
            next(iter(stream))
        equal(self.ask().output_text, "hello")

    def check_completion(self):
        answer = self.client.completions.create(model=self.model, prompt="Once", temperature=0, echo=True)
        assert answer.choices[0].text.startswith("Once")

    def check_models(self):
        (model,) = self.client.models.list().data
        equal(self.client.models.retrieve(model.id).id, model.id)

    def check_response(self):
        answer = self.ask(instructions="Be brief.", metadata={"a": "b"})
        equal([answer.output_text, answer.status, answer.metadata], ["hello", "completed", {"a": "b"}])
        read = self.client.responses.retrieve(answer.id)
        equal(read.output_text, "hello")
        (item,) = self.client.responses.input_items.list(answer.id).data
        equal(item.content[0].text, "Hi")
        self.client.responses.delete(answer.id)
        self.error_of(openai.NotFoundError, lambda: self.client.responses.retrieve(answer.id))

    def check_response_stream(self):
        text, numbers, last = "", [], None
        for event in self.ask(stream=True):
            numbers.append(event.sequence_number)
            text += event.delta if event.type == "response.output_text.delta" else ""
            last = event
        equal([text, last.type, last.response.output_text], ["hello", "response.completed", "hello"])
        equal(numbers, list(range(len(numbers))))
        again = self.client.responses.retrieve(last.response.id, stream=True, starting_after=2)
        equal([event.sequence_number for event in again], numbers[3:])
        with self.client.responses.stream(model=self.model, input="Hi", temperature=0) as stream:
            equal(stream.get_final_response().output_text, "hello")

    def check_response_cut_short(self):
        answer = self.ask(max_output_tokens=1)
        equal([answer.status, answer.incomplete_details.reason], ["incomplete", "max_output_tokens"])

    def check_previous_response(self):
        one = self.ask()
        two = self.ask(previous_response_id=one.id)
        equal([two.previous_response_id, two.output_text], [one.id, "hello"])
        assert two.usage.input_tokens_details.cached_tokens >= one.usage.input_tokens
        branch = self.ask(previous_response_id=one.id)
        equal(branch.model_extra["everstream"]["branched"], True)

    def check_conversation(self):
        conversation = self.client.conversations.create(metadata={"topic": "tests"}).id
        self.ask(conversation=conversation)
        answer = self.ask(conversation={"id": conversation}, stream=True)
        for event in answer:
            pass
        equal(event.response.conversation.id, conversation)
        items = self.items_of(conversation)
        equal(len(items), 4)
        item = self.client.conversations.items.retrieve(items[1], conversation_id=conversation)
        equal([item.role, item.content[0].text], ["assistant", "hello"])
        updated = self.client.conversations.update(conversation, metadata={"topic": "more"})
        equal(updated.metadata, {"topic": "more"})
        self.client.conversations.items.delete(items[3], conversation_id=conversation)
        equal(self.items_of(conversation), items[:3])
        assert self.client.conversations.delete(conversation).deleted
        self.error_of(openai.NotFoundError, lambda: self.client.conversations.retrieve(conversation))

    def check_retries(self):
        client = self.client_of(KEY, retries=2)
        conversation = client.conversations.create().id
        answer = self.ask(client, conversation=conversation, extra_headers=LOSES)
        equal(answer.output_text, "hello")
        equal(len(self.items_of(conversation)), 2)
        text = ""
        for event in self.ask(client, conversation=conversation, extra_headers=LOSES, stream=True):
            text += event.delta if event.type == "response.output_text.delta" else ""
        equal(text, "hello")
        equal(len(self.items_of(conversation)), 4)
        self.ask(client, conversation=conversation)
        equal(len(self.items_of(conversation)), 6)

    def check_bad_request(self):
        chat = self.client.chat.completions
        error = self.error_of(
            openai.BadRequestError, lambda: chat.create(model=self.model, messages=MESSAGES, temperature=9)
        )
        equal([error.status_code, error.code, error.param], [400, "invalid_value", "temperature"])
        equal(error.type, "invalid_request_error")
        assert error.request_id and "temperature" in error.message

    def check_not_found(self):
        error = self.error_of(
            openai.NotFoundError, lambda: self.client.responses.create(model="gpt-5", input="Hi")
        )
        equal([error.code, error.param], ["model_not_found", "model"])
        error = self.error_of(openai.NotFoundError, lambda: self.ask(previous_response_id="resp_none"))
        equal([error.code, error.param], ["previous_response_not_found", "previous_response_id"])

    def check_authentication(self):
        error = self.error_of(openai.AuthenticationError, self.client_of("wrong").models.list)
        equal([error.status_code, error.code], [401, "invalid_api_key"])

    def check_rate_limit(self):
        client = self.client_of(SPENT)

        def spend():
            for _ in range(1000):
                client.models.list()

        error = self.error_of(openai.RateLimitError, spend)
        equal([error.status_code, error.code], [429, "rate_limit_exceeded"])
        assert int(error.response.headers["retry-after"]) > 0
        self.client.models.list()  # another key has limits of its own

    def real_conversation(self):
        """The default model answers."""
        conversation = self.client.conversations.create().id
        words, text = "What is the capital of France?", ""
        for event in self.client.responses.create(
            model=self.model, instructions="Answer in English.", input=words, temperature=0,
            conversation=conversation, stream=True,
        ):  # fmt: skip
            text += event.delta if event.type == "response.output_text.delta" else ""
        equal(text, "The capital of France is Paris.")
        second = self.client.responses.create(
            model=self.model, input="What language is spoken there?", temperature=0, conversation=conversation
        )
        assert "French" in second.output_text, second.output_text
        equal(second.model_extra["everstream"]["resumed"], "slot")
        equal(len(self.items_of(conversation)), 4)

    def real_parsed(self):
        """The default model answers as a class says, whichever the way."""
        asked = {"model": self.model, "temperature": 0}
        words = "What is the capital of France?"
        answer = self.client.responses.parse(**asked, input=words, text_format=Capital)
        equal(answer.output_parsed, Capital(city="Paris"))
        messages = [{"role": "user", "content": words}]
        answer = self.client.chat.completions.parse(**asked, messages=messages, response_format=Capital)
        equal(answer.choices[0].message.parsed, Capital(city="Paris"))


class Capital(pydantic.BaseModel):
    city: typing.Literal["Rome", "Paris"]


def equal(found, expected):
    if found != expected:
        raise AssertionError(f"{found!r} is not {expected!r}")


def main(url, model, *names):
    checks = Checks(url, model)
    for name in names or [name for name in dir(checks) if name.startswith("check_")]:
        error = None
        try:
            getattr(checks, name)()
        except Exception:
            error = traceback.format_exc(limit=-3)
        print(json.dumps({"name": name.removeprefix("check_").replace("_", " "), "error": error}), flush=True)


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
