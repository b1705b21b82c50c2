"""The store and the proxy of the tests do what the tests rely on."""

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from tests.object_store import BUCKET, Fault, FaultyProxy, Store


def client(url: str) -> object:
    once = Config(retries={"total_max_attempts": 1}, read_timeout=2)
    return boto3.client("s3", endpoint_url=url, config=once)


def test_an_object_is_stored_through_the_proxy_and_every_request_counted(
    store: Store, proxy: FaultyProxy
) -> None:
    client(proxy.url).put_object(Bucket=BUCKET, Key="a/b", Body=b"content")
    assert store.get("a/b") == b"content"
    assert store.names("a/") == ["a/b"]
    assert client(proxy.url).get_object(Bucket=BUCKET, Key="a/b")["Body"].read() == b"content"
    assert proxy.counts() == {"PUT": 1, "GET": 1}


@pytest.mark.parametrize("kind", ["busy", "cut", "lost", "silent"])
def test_a_fault_hits_as_many_requests_as_it_says_and_no_others(
    store: Store, proxy: FaultyProxy, kind: str
) -> None:
    store.put("a", b"content")
    store.put("b", b"content")
    proxy.faults = [Fault(kind, times=1, method="GET", path="/a$")]
    s3 = client(proxy.url)
    assert s3.get_object(Bucket=BUCKET, Key="b")["Body"].read() == b"content"
    with pytest.raises((ClientError, BotoCoreError)):
        s3.get_object(Bucket=BUCKET, Key="a")["Body"].read()
    assert s3.get_object(Bucket=BUCKET, Key="a")["Body"].read() == b"content"


def test_a_lost_answer_to_an_upload_leaves_the_object_stored(
    store: Store, proxy: FaultyProxy
) -> None:
    proxy.faults = [Fault("lost", times=1, method="PUT")]
    with pytest.raises(BotoCoreError):
        client(proxy.url).put_object(Bucket=BUCKET, Key="l", Body=b"content")
    assert store.get("l") == b"content"
