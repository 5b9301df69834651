"""What a call is told while no manager leads."""

from workers.manager.quorum.absent import no_quorum

THREE = {"a": "10.0.0.1:4242", "b": "10.0.0.2:4242", "c": "10.0.0.3:4242"}


def test_it_says_how_many_are_away_and_which_and_what_to_do():
    said = no_quorum(THREE, {"c", "b"}, {"b": "n2", "c": "n3"}.__getitem__)
    assert (
        "there is no quorum: 2 of the 3 managers cannot be reached (n2 at 10.0.0.2:4242,"
        " n3 at 10.0.0.3:4242), and 2 have to run and reach each other. Start those that are down,"
        " and unlock those that are locked; if they are lost for good: `swarmd stop`, and then"
        " `swarmd start --force-new-cluster`, on one that is left"
    ) == said


def test_with_enough_of_them_there_a_leader_is_on_its_way():
    assert (
        "no manager leads now (b at 10.0.0.2:4242 cannot be reached), though there are enough for a"
        " quorum: try again"
    ) == no_quorum(THREE, {"b"})
    assert ("no manager leads now, though there are enough for a quorum: try again") == no_quorum(
        THREE, ()
    )


def test_who_was_taken_out_meanwhile_is_not_missed():
    assert "b" not in no_quorum({"a": "10.0.0.1:4242"}, {"b"})


def test_a_manager_that_has_not_joined_yet_says_so():
    assert "this manager is still joining the others: try again" == no_quorum({}, ())
