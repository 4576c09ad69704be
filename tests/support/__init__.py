"""What several folders of tests share: applications under test, servers, listeners and browsers."""
